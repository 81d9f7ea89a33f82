// Package overview reads what an operator asks for: what waits, what is held,
// what is dead and who works. It changes none of that.
package overview
