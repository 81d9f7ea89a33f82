// Package vercel is a client for the four endpoints that purge Vercel's edge
// cache, and for the one that says whether a token is accepted. It makes one
// HTTP request per call and tells what was answered in typed values.
//
// It does not retry, wait, batch or decide: what an answer means for a batch is
// the worker's to judge. It does not check Vercel's limits on items either,
// since those are learned at run time.
//
// A token never leaves the package other than in the Authorization header: no
// error, no formatted value and no redirect carries it.
package vercel
