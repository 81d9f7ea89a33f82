// Package layout holds no code, only tests: which package may import which,
// what the top level holds and how long a file may grow. They read the tree in
// process, so that the test cache notices every change.
package layout
