// Package redistest gives a test a Redis of its own: a private redis-server
// that can be killed, restarted and paused, with TLS, with a replica, under
// Sentinel or as a Cluster, or an embedded miniredis.
//
// It is for tests only. It never talks to a Redis that it did not start.
package redistest
