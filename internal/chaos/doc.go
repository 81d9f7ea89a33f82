// Package chaos holds no code, only tests: the real binary, several workers of
// it, against a private redis-server and the emulated API behind TLS, HTTP/2 and a
// network of its own, while all of these and the workers themselves are killed,
// stopped and made to fail. Afterwards package history says whether anything was
// lost or stuck.
//
// `go test` runs each fault once and a short storm of all of them; `make chaos`
// runs the long storm. A storm is a pure function of its seed, which is printed;
// -chaos.faults limits it to the faults whose names match a pattern.
package chaos
