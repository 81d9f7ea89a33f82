package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
)

// demoFlags is what the command line says.
type demoFlags struct {
	requests int
	seed     uint64
	calls    int
	per      time.Duration
	json     bool
	verbose  bool
}

// Bounds of --requests. Fewer show nothing; more take Redis's place in memory.
const (
	demoFewestRequests = 100
	demoMostRequests   = 100_000
)

func newDemoCommand(a *app) *cobra.Command {
	f := demoFlags{per: time.Second}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play a CMS burst and print what was saved",
		Long: `demo plays a burst of purges as a CMS makes them through the real path: producers,
an embedded Redis, two workers and an emulated Vercel, which limits the rate, fails
now and then and refuses one of the tags for good. It takes some fifteen seconds and
needs no Redis, no token and no network; nothing at Vercel is purged.

Then it holds what was asked for against the calls that reached the API, and exits
with 1 if a purge was lost or a limit was broken.`,
		Example: `  edgepurge demo
  edgepurge demo --requests 20000 --seed 7
  edgepurge demo --calls 5 --per 2s
  edgepurge demo --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd, f) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.requests, "requests", 4000, "how many purges are asked for")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of what is asked for and of what fails")
	flags.IntVar(&f.calls, "calls", 20, "budget: calls in any window, at most")
	flags.Var(&span{&f.per, time.Millisecond}, "per", "length of the budget's window")
	flags.BoolVar(&f.verbose, "verbose", false, "show the workers' log")
	jsonFlag(cmd, &f.json)
	return cmd
}

func (f *demoFlags) validate() error {
	var faults []error
	if f.requests < demoFewestRequests || f.requests > demoMostRequests {
		faults = append(faults, fmt.Errorf("--requests %d is out of range: use %d to %d", f.requests, demoFewestRequests, demoMostRequests))
	}
	if f.calls < 2 || f.calls > 1000 {
		faults = append(faults, fmt.Errorf("--calls %d is out of range: use 2 to 1000", f.calls))
	}
	if f.per < 100*time.Millisecond || f.per > time.Minute {
		faults = append(faults, fmt.Errorf("--per %s is out of range: use 100ms to 1m", f.per))
	}
	return errors.Join(faults...)
}

func (a *app) demo(cmd *cobra.Command, f demoFlags) (err error) {
	if err := f.validate(); err != nil {
		return usagef(cmd, "%w", err)
	}
	log := zerolog.Nop()
	if f.verbose {
		log = a.logger(configs.Log{Level: configs.LevelInfo, Format: configs.FormatAuto})
	}
	plan := newDemoPlan(f.seed, f.requests)
	stage, err := newDemoStage(cmd.Context(), f, plan, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.close()) }()
	a.notef("seed %d: %s requests from %d producers in about %s, %s in any %s",
		f.seed, grouped(f.requests), demoProducers, brief(plan.over), count(f.calls, "call"), f.per)
	run, err := stage.play(cmd.Context(), newDemoProgress(a, plan))
	if err != nil {
		return err
	}
	result := newDemoResult(f, run)
	if f.json {
		err = a.printJSON(result)
	} else {
		a.printDemo(result)
	}
	if err == nil && !result.OK {
		err = errFailed
	}
	return err
}
