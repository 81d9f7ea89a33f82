//go:build !linux

package chaos

import "syscall"

// endWithParent has no equivalent outside Linux: a test binary that is killed
// leaves its programs behind.
func endWithParent() *syscall.SysProcAttr { return nil }
