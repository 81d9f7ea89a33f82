package prodredis

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// authority is the CA that this process trusts, as an operator makes it trust a
// private one: by SSL_CERT_FILE, which Go reads once.
var authority *redistest.CA

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "prodredis")
	if err == nil {
		err = trust(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(
		m,
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(dir)
			os.Exit(code)
		}),
		// go-redis's look for a server that is gone ends within a second of Close.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"),
	)
}

func trust(dir string) error {
	ca, err := redistest.NewCA("prodredis")
	if err != nil {
		return err
	}
	authority = ca
	file := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o600); err != nil {
		return err
	}
	return os.Setenv("SSL_CERT_FILE", file)
}
