// Package monitor is the web UI: asynq's own, asynqmon, at /monitor/, and at
// /monitor/purges what asynq cannot know, both behind one login. It reads Redis
// and asks for what a person decides, a hold's release or a replay; it makes no
// calls to Vercel.
package monitor
