package chaos

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// scratch holds what lives as long as the test binary: the program under test.
var scratch string

func TestMain(m *testing.M) {
	redis.SetLogger(silence{}) // it logs every dial that a killed Redis refuses
	dir, err := os.MkdirTemp("", "edgepurge-chaos")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
