package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	sleepTogether()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// sleepTogether lets more tests run at once than there are cores, if nobody says how many:
// most of their time they wait for a lease to end or a fault to be over.
func sleepTogether() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0))))
	}
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
