// Package plan says beforehand what a purge will do to the origin: when its API
// calls go, how many pages are rendered each second because of them, who waits
// for that, how long old pages are shown, and which spread keeps the origin
// within its capacity. It is arithmetic on an Input: it asks neither Redis nor
// Vercel, and reads no clock. The model and its assumptions are in docs/plan.md.
package plan
