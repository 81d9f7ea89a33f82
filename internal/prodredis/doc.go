// Package prodredis holds the tests of the whole pipeline on Redis as it is run
// in production: Cluster, Sentinel, TLS, a user with least rights. They start
// private redis-servers, workers and an emulated Vercel, play a burst of
// requests and judge it by internal/history.
//
// It holds no code that the program uses.
package prodredis
