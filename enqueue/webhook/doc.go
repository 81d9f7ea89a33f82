// Package webhook takes in the webhooks of content management systems: it
// checks that a delivery is genuine, maps its payload to cache tags with a jq
// expression and hands the purge request on. What a sender does its own way is
// data (a Preset), not code.
//
// It purges nothing and keeps nothing but the marks of deliveries it has seen;
// where requests and unmappable deliveries go is for its caller to say.
//
// A delivery goes through these stages:
//
//	read      the body, within a limit and a second
//	verify    signature.go, token.go, basic.go: pure, any verifier of the source may pass
//	dedupe    asked only about what was verified: a forged delivery must not suppress a purge
//	map       accept, operation, tags and source images, by jq: plan.go
//	enqueue   one request for each project, and what could not be mapped to the dead letters
//	answer    within 1.5 seconds, whatever happens
package webhook
