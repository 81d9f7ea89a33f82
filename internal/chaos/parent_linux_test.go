package chaos

import "syscall"

// endWithParent makes the kernel end a program when the test binary dies
// without its Cleanup, as it does at go test's timeout.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
