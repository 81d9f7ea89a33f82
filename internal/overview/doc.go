// Package overview reads what an operator asks for: what waits, what is held,
// what is dead and who works. It changes nothing.
package overview
