package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// emulatorToken is the token that the emulator accepts if none is named.
const emulatorToken = "emulator"

type emulatorFlags struct {
	listen  string
	tokens  []string
	status  []string
	expired []string
	config  emulator.Config
}

func newEmulatorCommand(a *app) *cobra.Command {
	f := emulatorFlags{config: emulator.Config{Limit: emulator.MeasuredLimit()}}
	f.config.Limit.Mode = emulator.Sliding
	cmd := &cobra.Command{
		Use:   "emulator",
		Short: "Serve an emulated Vercel API",
		Long: `emulator serves an emulated Vercel API: its limits, its rate limit and, if asked
for, its faults. It keeps a journal of the calls at /_emulator/calls; PUT
/_emulator/faults and /_emulator/limit change both while it runs. It listens on
this machine only, unless --listen says otherwise: whoever reaches it may steer it.

PUT /_emulator/faults takes a JSON object in place of all faults so far; {} is none:
  status           {"503": 0.02}: answer with a status so often
  html             how often a 5xx among these and in an outage is a page of HTML
  retry_after      "2s": sent with a 429 and 503 among these and in an outage
  latency          "80ms": delay of every answer; latency_jitter: up to so much more
  reset, hang      how often the connection is reset, or no answer comes
  after_effect     how often one of these strikes after the call took effect
  outage           true: answer every call with 503
  projects         {"prj_gone": 410}: answer calls for a project with a status
  poison_tags      ["bad"]: items whose calls get a 400
  expired_tokens   names of tokens, as in the journal, that get a 403`,
		Example: `  edgepurge emulator
  edgepurge emulator --status 503=0.02 --latency 80ms --jitter 40ms --seed 7
  EDGEPURGE_VERCEL_URL=http://127.0.0.1:8089 VERCEL_TOKEN=emulator edgepurge worker
  curl -s http://127.0.0.1:8089/_emulator/calls
  curl -X PUT http://127.0.0.1:8089/_emulator/faults --json '{"status": {"503": 0.5}, "latency": "80ms"}'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.emulate(cmd, f) },
	}
	flags, c := cmd.Flags(), &f.config
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8089", "`address` to listen at")
	flags.StringArrayVar(&f.tokens, "token", []string{emulatorToken}, "accepted `token` (repeatable)")
	flags.IntVar(&c.Limit.Calls, "calls", c.Limit.Calls, "calls that a window holds; 0: no rate limit")
	flags.Var(&span{&c.Limit.Per, time.Millisecond}, "per", "length of the window")
	flags.Var(&choice[emulator.Mode]{&c.Limit.Mode, []emulator.Mode{emulator.Sliding, emulator.Fixed}}, "window", "how windows lie in time")
	flags.StringArrayVar(&f.status, "status", nil, "answer with a status so often, as `status=probability`, such as 503=0.02 (repeatable)")
	flags.Var(&span{&c.Faults.Latency, time.Millisecond}, "latency", "delay of every answer")
	flags.Var(&span{&c.Faults.LatencyJitter, time.Millisecond}, "jitter", "up to so much more delay")
	flags.Float64Var(&c.Faults.Reset, "reset", 0, "how often the connection is reset, a `probability`")
	flags.Float64Var(&c.Faults.Hang, "hang", 0, "how often no answer comes, a `probability`")
	flags.StringArrayVar(&c.Faults.PoisonTags, "poison", nil, "`item` whose calls get a 400 (repeatable)")
	flags.StringArrayVar(&f.expired, "expired-token", nil, "`token` that is refused with a 403 (repeatable)")
	flags.Uint64Var(&c.Seed, "seed", 0, "seed of the dice")
	flags.IntVar(&c.JournalCap, "journal-limit", 100_000, "calls kept in the journal; 0: all")
	return cmd
}

// emulate serves the emulator until ctx ends.
func (a *app) emulate(cmd *cobra.Command, f emulatorFlags) error {
	c := f.config
	for _, t := range f.tokens {
		if t == "" {
			return usagef(cmd, "--token is empty: name a token, or leave the flag out for %q", emulatorToken)
		}
		c.Tokens = append(c.Tokens, emulator.Token{Secret: t})
	}
	for _, t := range f.expired {
		c.Faults.ExpiredTokens = append(c.Faults.ExpiredTokens, emulator.TokenName(t))
	}
	var err error
	if c.Faults.Status, err = parseStatuses(f.status); err != nil {
		return usagef(cmd, "%w", err)
	}
	e, err := emulator.New(c)
	if err != nil {
		return usagef(cmd, "%w", err)
	}
	listener, err := listen(cmd.Context(), f.listen)
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return usagef(cmd, "%w: write --listen host:port", err)
	}
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen", err)
	}
	at := "http://" + reachable(listener.Addr().String())
	shown := emulatorToken
	if cmd.Flags().Changed("token") {
		shown = "<the --token>"
	}
	a.printf("emulated Vercel API at %s\n", at)
	a.printf("  use it:   EDGEPURGE_VERCEL_URL=%s VERCEL_TOKEN=%s edgepurge worker\n", at, shown)
	a.printf("  journal:  %s/_emulator/calls\n", at)
	// Close lets go of the calls that hang, which Shutdown would wait for.
	return serve(cmd.Context(), listener, e, func() { _ = e.Close() })
}

// reachable is the address to use on this machine of one that listens at all.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return address
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// parseStatuses reads status=probability pairs.
func parseStatuses(pairs []string) (map[int]float64, error) {
	statuses := map[int]float64{}
	for _, pair := range pairs {
		status, probability, _ := strings.Cut(pair, "=")
		n, err1 := strconv.Atoi(status)
		p, err2 := strconv.ParseFloat(probability, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("--status %q: write it as status=probability, such as 503=0.02", pair)
		}
		statuses[n] += p
	}
	return statuses, nil
}
