// Package api is what everything that answers in Vercel's place has in common:
// the paths of its purge API, the schema of query and body, the answers to what
// is refused, and those that Vercel's command line asks for before it purges.
//
// It decides nothing beyond that: who may come in, how often and what becomes
// of a purge is for the emulator and the gateway to say.
package api
