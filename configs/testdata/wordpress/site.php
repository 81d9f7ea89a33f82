<?php
// A stand-in for the parts of WordPress that the recipe's lines use. It is run with the
// file of those lines, plays what editors do, and prints each request that is sent as a
// line of JSON, after the name of what was done.
define('EDGEPURGE_TOKEN', 'token-of-some-length');

class WP_Post
{
    public function __construct(public int $ID, public string $post_status, public string $post_type = 'post') {}
}

$actions = [];
function add_action($hook, $callback, $priority = 10, $accepted_args = 1)
{
    global $actions;
    $actions[$hook][] = [$callback, $accepted_args];
}
function do_action($hook, ...$args)
{
    global $actions;
    foreach ($actions[$hook] ?? [] as [$callback, $accepted]) {
        $callback(...array_slice($args, 0, $accepted));
    }
}
function wp_json_encode($data) { return json_encode($data); }

$doing = '';
function wp_remote_post($url, $args = [])
{
    global $doing;
    echo json_encode(['doing' => $doing, 'url' => $url, 'headers' => $args['headers'] ?? [], 'body' => $args['body'] ?? '']), "\n";
    return ['response' => ['code' => 200]];
}

// wp_insert_post sets the status, and tells both.
function change($what, $post, $to)
{
    global $doing;
    $doing = $what;
    $from = $post->post_status;
    $post->post_status = $to;
    do_action('transition_post_status', $to, $from, $post);
    do_action('save_post', $post->ID, $post, $from !== 'new');
}
// wp_delete_post changes no status.
function delete($what, $post)
{
    global $doing;
    $doing = $what;
    do_action('before_delete_post', $post->ID, $post);
    do_action('delete_post', $post->ID, $post);
    do_action('deleted_post', $post->ID, $post);
    do_action('after_delete_post', $post->ID, $post);
}

require $argv[1];

change('a draft is begun', new WP_Post(1, 'new'), 'auto-draft');
change('a draft is saved', new WP_Post(2, 'draft'), 'draft');
change('a revision is kept', new WP_Post(3, 'new', 'revision'), 'inherit');
change('published', new WP_Post(4, 'draft'), 'publish');
change('published on time', new WP_Post(5, 'future'), 'publish');
change('changed', new WP_Post(6, 'publish'), 'publish');
change('taken back', new WP_Post(7, 'publish'), 'draft');
change('made private', new WP_Post(8, 'publish'), 'private');
change('put into the trash', new WP_Post(9, 'publish'), 'trash');
change('a draft is put into the trash', new WP_Post(10, 'draft'), 'trash');
delete('the trash is emptied', new WP_Post(11, 'trash'));
delete('deleted without the trash', new WP_Post(12, 'publish'));
