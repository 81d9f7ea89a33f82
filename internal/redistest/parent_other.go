//go:build !linux

package redistest

import "syscall"

// endWithParent has no equivalent outside Linux: a test binary that is killed
// leaves its server behind.
func endWithParent() *syscall.SysProcAttr { return nil }
