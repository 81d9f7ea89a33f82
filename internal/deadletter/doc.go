// Package deadletter shows and mends what lies in asynq's archive of
// edgepurge's queues: calls that Vercel refused for good and requests that no
// worker could take in.
//
// A replay sends the items through their lanes again, where duplicates end and
// the budget paces them, so that thousands of letters may be replayed at once.
// It does not decide what is dead: that is the worker's.
package deadletter
