package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
)

// webhookTest is what the command line says.
type webhookTest struct {
	source  string
	file    string
	headers []string
	now     time.Time
	json    bool
}

func newWebhookTestCommand(a *app) *cobra.Command {
	var f webhookTest
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Show what a delivery would do",
		Long: `test shows what the gateway would do with a delivery: whether it is proved, and if
not why; which tags and images it would purge, how, and in which lanes. Nothing is
enqueued, and neither Redis nor Vercel is asked.

The file holds the body as the sender sent it, to the byte, for a signature covers
every one of them; or a whole HTTP request, from its first line ("POST /hooks/blog
HTTP/1.1") on, as tools that inspect webhooks show it. What cannot be proved is
mapped all the same, so a file of your own shows its tags.

It exits with 0 if the purge would be stored, or if the delivery is none that you want:
accept is false for it, or its environment is none of the source's. It exits with 1 if
the delivery is not verified, too large or compressed otherwise than by gzip or deflate, if
it cannot be mapped, in part or as a whole, and if the mapping names no item.`,
		Example: `  edgepurge webhook test --source blog --file delivery.json
  edgepurge webhook test --source blog --file delivery.json \
    --header 'Sanity-Webhook-Signature: t=1795305601000,v1=…' --now 2026-11-22T00:00:01Z
  edgepurge webhook test --source blog --file request.http --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.testWebhook(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.source, "source", "", "`name` of the source, as in gateway.sources")
	flags.StringVar(&f.file, "file", "", "`file` with the delivery, - for standard input")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "`header` of the delivery, as 'Name: value' (repeatable)")
	flags.Var(&instant{&f.now}, "now", "when it arrives (default: now)")
	jsonFlag(cmd, &f.json)
	return cmd
}

func (a *app) testWebhook(cmd *cobra.Command, f webhookTest) error {
	if f.source == "" || f.file == "" {
		return usagef(cmd, "--source and --file are needed: which webhook, and what was sent to it")
	}
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	source, err := c.Source(f.source)
	if err != nil {
		return err
	}
	hook, err := webhook.Compile(source)
	if err != nil {
		return err
	}
	data, err := a.readDelivery(f.file)
	if err != nil {
		return err
	}
	d, err := parseDelivery(data, webhook.Prefix+f.source)
	if err != nil {
		return fmt.Errorf("%s: %w", f.file, err)
	}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return usagef(cmd, "--header %q: write it as 'Name: value'", h)
		}
		d.Header.Add(name, strings.TrimSpace(value))
	}
	if d.Now = f.now; d.Now.IsZero() {
		d.Now = time.Now()
	}
	v := verdict(cmd.Context(), hook, d)
	if f.json {
		err = a.printJSON(v)
	} else {
		err = a.showVerdict(source, v)
	}
	if err == nil && v.failed() {
		err = errFailed
	}
	return err
}

// readDelivery reads a file, or standard input.
func (a *app) readDelivery(path string) ([]byte, error) {
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the path is the user's own
		if err != nil {
			return nil, fmt.Errorf("read the delivery: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, webhook.MaxBodyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the delivery: %w", err)
	}
	return data, nil
}

// webhookVerdict is what `edgepurge webhook test --json` prints.
type webhookVerdict struct {
	webhook.Explanation
	// Needed says what proves a delivery, if this one is not proved.
	Needed []string `json:"needed,omitempty"`
	// Remark is about the file.
	Remark string `json:"remark,omitempty"`
}

func (v webhookVerdict) failed() bool {
	switch v.Outcome {
	case webhook.Queued, webhook.Ignored:
		return false
	default:
		return true
	}
}

// verdict explains a delivery. Editors end a file with a line break that the
// sender did not send: if the signature is right without it, that is what counts.
func verdict(ctx context.Context, hook *webhook.Hook, d webhook.Delivery) webhookVerdict {
	v := webhookVerdict{Explanation: hook.Explain(ctx, d)}
	if v.Verified {
		return v
	}
	if trimmed := bytes.TrimRight(d.Body, "\r\n"); len(trimmed) < len(d.Body) {
		without := d
		without.Body = trimmed
		if e := hook.Explain(ctx, without); e.Verified || e.Reason == webhook.ReasonStale || e.Reason == webhook.ReasonFuture {
			return webhookVerdict{Explanation: e, Remark: "the line break at the end of the file is not part of what was signed"}
		}
	}
	v.Needed = hook.Credentials()
	return v
}

// reasons are the reasons for people.
var reasons = map[webhook.Reason]string{
	webhook.Verified:        "proved",
	webhook.ReasonMissing:   "NOT PROVED: the delivery lacks what proves it",
	webhook.ReasonMalformed: "NOT PROVED: what should prove it cannot be read",
	webhook.ReasonRepeated:  "NOT PROVED: what should prove it stands there twice",
	webhook.ReasonMismatch:  "NOT PROVED: made with another secret, or for another body",
	webhook.ReasonTimestamp: "NOT PROVED: rightly signed, but its time cannot be read",
	webhook.ReasonStale:     "NOT PROVED: rightly signed, but too long ago (--now sets the time)",
	webhook.ReasonForeign:   "NOT VERIFIED: nothing is checked here, and a web page of another site may have sent it (Host, Origin, Sec-Fetch-Site)",
	webhook.ReasonFuture:    "NOT PROVED: rightly signed, but too far ahead (--now sets the time)",
}

// told is what the sender would be told.
var told = map[webhook.Outcome]string{
	webhook.Queued:       "200, its purge is stored",
	webhook.Ignored:      "200, but nothing is purged: accept is false for it",
	webhook.NoTags:       "200, but nothing is purged: the mapping names no item",
	webhook.Partial:      "200, what could be mapped is purged, and it is a dead letter for the rest",
	webhook.Dead:         "200, but it is a dead letter: it cannot be mapped",
	webhook.Rejected:     "422, it cannot be mapped",
	webhook.Unauthorized: "401, it is refused",
	webhook.TooLarge:     "413, its body is larger than limits.body",
	webhook.BadEncoding:  "415, its body is compressed otherwise than by gzip or deflate",
}

func (a *app) showVerdict(s webhook.Source, v webhookVerdict) error {
	t := newTable(a.stdout)
	line := func(name, text string) {
		if text != "" {
			row(t, name, text)
		}
	}
	line("source", webhook.Label(s))
	line("proof", reasons[v.Reason])
	for _, needed := range v.Needed {
		line("", "needed: "+needed)
	}
	if v.Outcome == webhook.Ignored && v.Environment != "" {
		line("answer", "200, but nothing is purged: its environment is none of the source's")
	} else {
		line("answer", told[v.Outcome])
	}
	if !v.Verified && s.LogOnly {
		line("", "though not proved: enforce is false")
	}
	line("remark", v.Remark)
	line("delivery id", v.DeliveryID)
	line("environment", v.Environment)
	switch {
	case v.Outcome == webhook.Unauthorized && len(v.Tags)+len(v.SrcImages) > 0:
		line("", "if it were proved, it would purge:")
	case v.Outcome == webhook.Unauthorized && v.Problem == "":
		line("", "if it were proved, it would purge nothing: accept is false for it, its environment is none of the source's, or the mapping names no item")
	}
	line("warning", v.Warning)
	line("problem", strings.ReplaceAll(v.Problem, "\n", "; "))
	line("operation", string(v.Operation))
	for _, tag := range v.Tags {
		line("tag", tag)
	}
	for _, image := range v.SrcImages {
		line("src-image", image)
	}
	for _, lane := range v.Lanes {
		line("lane", lane)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	a.printf("nothing was enqueued\n")
	return nil
}

// parseDelivery reads what a file holds: a body alone, or a whole request.
func parseDelivery(data []byte, target string) (webhook.Delivery, error) {
	d := webhook.Delivery{Method: http.MethodPost, URL: target, Header: http.Header{}, Body: data}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	words := strings.Fields(string(first))
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/") {
		d.Header.Set("Content-Type", "application/json")
		return d, nil
	}
	return parseRequest(d, data)
}
