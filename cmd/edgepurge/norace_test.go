//go:build !race

package main

// underRace tells that the race detector is on, which multiplies the memory of a process.
const underRace = false
