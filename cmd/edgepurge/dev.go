package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/worker"
)

// devFlags is what the command line says.
type devFlags struct {
	redis          string
	redisListen    string
	emulatorListen string
	listen         string
	fast           bool
	redisInUse     bool
}

func newDevCommand(a *app) *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run all parts for an application under development",
		Long: `dev runs a Redis, an emulated Vercel, a worker and a gateway in one process, for an
application under development, and prints every call of the API. The embedded Redis
forgets everything at the end: it is not for anything that must not be lost.

The gateway serves what the configuration says. Where that says nothing, it takes
{"tags": [...]} at /hooks/dev without any check: it listens on this machine only,
refuses what a web page sends, and is closed while VERCEL_TOKEN is set.

With --redis it uses a Redis of yours. It refuses one that workers serve or in which
purges wait, unless --redis-in-use is set: it would take some of these purges, and the
emulated Vercel purges nothing. With VERCEL_TOKEN set it calls the real API, and purges
what is there. The configuration holds as for a worker, but redis.url is used only by
way of --redis.`,
		Example: `  edgepurge dev
  edgepurge dev --fast
  edgepurge dev --redis redis://127.0.0.1:6379/1
  edgepurge dev --redis-listen 127.0.0.1:6380 --emulator-listen 127.0.0.1:9089
  VERCEL_TOKEN=… edgepurge dev --config edgepurge.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.dev(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.redis, "redis", "", "`URL` of a Redis of yours, in place of the embedded one")
	flags.BoolVar(&f.redisInUse, "redis-in-use", false, "use --redis although workers serve it or purges wait in it: dev takes its share of them")
	flags.StringVar(&f.redisListen, "redis-listen", "127.0.0.1:6379", "`address` of the embedded Redis")
	flags.StringVar(&f.emulatorListen, "emulator-listen", "127.0.0.1:8089", "`address` of the emulated Vercel")
	flags.StringVar(&f.listen, "listen", "", "`address` of the gateway (default: gateway.listen, 127.0.0.1:8080)")
	flags.BoolVar(&f.fast, "fast", false, "no budget and no rate limit: purges do not wait (emulated Vercel only)")
	return cmd
}

// devStage is what dev runs.
type devStage struct {
	parts
	hook     bool // the gateway has dev's own source
	worker   worker.Config
	redisURL string
	emulator *emulator.Emulator // nil: the API that is configured
	vercel   string
	calls    *callPrinter
}

func (a *app) dev(cmd *cobra.Command, f devFlags) (err error) {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	emulate, err := a.devEmulates(cmd, c, f)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("redis") && cmd.Flags().Changed("redis-listen") {
		return usagef(cmd, "--redis and --redis-listen: which Redis is it to be? Give one of them")
	}
	s := &devStage{worker: c.Worker, vercel: c.Worker.VercelURL, calls: &callPrinter{app: a}}
	defer func() { err = errors.Join(err, s.close()) }()
	ctx := cmd.Context()
	if err := s.openRedis(ctx, f); err != nil {
		return err
	}
	if emulate {
		if err := s.openEmulator(ctx, f); err != nil {
			return err
		}
	}
	address, failed, err := s.gateway(cmd, a, c, f)
	if err != nil {
		return err
	}
	a.introduce(s, c, f, address)
	ended, err := s.workers(ctx, s.redisURL, 1, s.worker, a.devLogger(c.Log, s))
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		a.notef("stopping: the calls in hand end")
		return nil
	case err := <-ended:
		return fmt.Errorf("the worker ended: %w", err)
	case err := <-failed:
		return fmt.Errorf("the gateway ended: %w", err)
	}
}

// devEmulates decides between the emulated and the configured API. In doubt it
// refuses: the one purges what people see, the other does not.
func (a *app) devEmulates(cmd *cobra.Command, c configs.Config, f devFlags) (bool, error) {
	live := a.getenv("VERCEL_TOKEN") != ""
	switch {
	case live && cmd.Flags().Changed("emulator-listen"):
		return false, usagef(cmd, "VERCEL_TOKEN asks for the real API and --emulator-listen for the emulated one: unset one of them")
	case live && f.fast:
		return false, usagef(cmd, "--fast lifts the rate limit of the emulated Vercel, and VERCEL_TOKEN asks for the real API: leave one of them out")
	case live:
		return false, c.RequireTokens()
	case emulated(c):
		return false, usagef(cmd, "vercel.url is %s, but VERCEL_TOKEN is not set: set it to use that API, or leave vercel.url and EDGEPURGE_VERCEL_URL out for the emulated one", c.Worker.VercelURL)
	}
	return true, nil
}

// openRedis starts the embedded Redis, or looks whether the given one answers.
func (s *devStage) openRedis(ctx context.Context, f devFlags) (err error) {
	if f.redis == "" {
		s.redisURL, err = s.redis(f.redisListen)
		if err != nil {
			return fmt.Errorf("%w: if a Redis runs there, use it with --redis redis://%s/0, else choose another address with --redis-listen", err, f.redisListen)
		}
		return nil
	}
	s.redisURL = f.redis
	rdb, err := s.client(f.redis, 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, redisWait)
	defer cancel()
	if err := rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("--redis %s does not answer: %w: start it, or leave --redis out for an embedded one", redisurl.Redact(f.redis), err)
	}
	if f.redisInUse {
		return nil
	}
	use, err := readInUse(ctx, rdb)
	if err != nil {
		return fmt.Errorf("look who uses --redis %s: %w", redisurl.Redact(f.redis), err)
	}
	return use.refusal(f.redis)
}

// openEmulator serves the emulated Vercel and points the worker at it. Real
// tokens stay out of it.
func (s *devStage) openEmulator(ctx context.Context, f devFlags) (err error) {
	limit := emulator.Limit{}
	for i := range s.worker.Accounts {
		account := &s.worker.Accounts[i]
		account.Token = "dev-" + account.Name
		if f.fast {
			account.Budget.Calls, account.Budget.Reserve = 0, 0
		}
		limit = wider(limit, emulator.Limit{Calls: account.Budget.Calls, Per: account.Budget.Per}, i == 0)
	}
	s.emulator, s.vercel, err = s.parts.vercel(ctx, f.emulatorListen, emulator.Config{Limit: limit, JournalCap: devJournal}, s.calls.watch)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --emulator-listen", err)
	}
	s.worker.VercelURL = s.vercel
	return nil
}

// wider is the more generous of two limits: the emulator knows one only, and
// must not refuse what an account's budget allows.
func wider(a, b emulator.Limit, first bool) emulator.Limit {
	switch {
	case first || b.Calls == 0:
		return b
	case a.Calls == 0 || float64(a.Calls)/a.Per.Seconds() >= float64(b.Calls)/b.Per.Seconds():
		return a
	}
	return b
}
