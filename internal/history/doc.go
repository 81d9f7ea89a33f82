// Package history judges a run after the fact: from what was asked for, the
// calls that reached the API and the dead letters, it says whether a purge was
// lost or stuck, whether a call broke a limit of the API, and how well the calls
// were used. It is pure: no clock, no Redis, no HTTP.
//
// It does not watch a worker at work; whoever keeps the records hands them over.
//
// # What counts as purged
//
// The producer knows that its content had changed when it asked. So a call that
// started at that moment or later, in the same family, purged what was meant,
// even if it started before the request was stored and the producer heard of
// it. Hence the rule: for each item of each request there is a successful call
// with Start >= Asked + Settle, and >= NotBefore; or a dead letter no older than
// that. Where the run had collapse rules (Rule), a call with what a rule put in the
// item's place does as well, under the same conditions. Taking Accepted in place of Asked
// would be stricter and wrong: a worker may well begin the call before the producer has
// read Redis's reply.
//
// # What counts as stuck
//
// Nothing may be lost, and nothing may lie about either. Stuck holds the same records
// against the terms of the run (Terms): an item that was due, while the budget was free
// and neither spread nor pause nor an excuse kept it, has a call within a bound; and no
// more than so many calls in a row pass it. It says which item, since when it could go,
// and why it is certain.
//
// All times must come from one clock, or from clocks in step.
package history
