// Package gateway is the HTTP face for programs: a drop-in for Vercel's purge
// API, and a JSON API of our own that takes more and hands out receipts. Both
// ask for a bearer key and describe themselves in openapi.yaml.
//
// It purges nothing and keeps nothing but what an Idempotency-Key stood for:
// where requests go is for its caller to say. It does not serve webhooks; that
// is package webhook.
//
// The order of a request is the emulator's: route (404, 405) · key (403) ·
// body (413) · query and schema (400) · project (403, 404) · store (503).
package gateway
