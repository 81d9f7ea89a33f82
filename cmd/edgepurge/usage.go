package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a command line that says something else than was meant: a flag
// or an argument that is unknown, missing or wrong. Everything else that goes
// wrong, a fault of the configuration too, is a plain error.
type usageError struct {
	command string // such as "edgepurge purge"
	cause   error
}

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

// usagef returns a usageError; the text names the remedy.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), cause: fmt.Errorf(format, args...)}
}

// errFailed ends a command with exit code 1 after it has said why by itself.
var errFailed = errors.New("failed")

// exit tells people what went wrong, a line a fault, and returns the exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errFailed) {
		return exitFailed
	}
	if errors.Is(err, context.Canceled) {
		a.notef("edgepurge: interrupted")
		return exitFailed
	}
	for line := range strings.Lines(err.Error()) {
		a.notef("edgepurge: %s", plain(strings.TrimRight(line, "\n")))
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		a.notef("see `%s --help`", usage.command)
		return exitUsage
	}
	return exitFailed
}

// flagError turns what pflag says into one of ours.
func flagError(cmd *cobra.Command, err error) error {
	return &usageError{command: cmd.CommandPath(), cause: err}
}

// noArgs refuses every argument.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef(cmd, "unexpected argument %q: %s takes flags only", args[0], cmd.CommandPath())
	}
	return nil
}

// knownCommand refuses what is not a subcommand of cmd, and names the nearest one.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // what cobra takes by itself
	near := cmd.SuggestionsFor(args[0])
	if len(near) == 0 {
		return usagef(cmd, "unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return usagef(cmd, "unknown command %q for %q: did you mean %s?", args[0], cmd.CommandPath(), strings.Join(near, " or "))
}

// needCommand is what a command does that has subcommands only.
func needCommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usagef(cmd, "%s needs one of: %s", cmd.CommandPath(), strings.Join(names, ", "))
}
