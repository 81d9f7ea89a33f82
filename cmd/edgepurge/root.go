package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// run is the program: it never exits and touches nothing but what it is given.
// It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	out := &output{w: stdout}
	a := &app{stdin: stdin, stdout: out, stderr: stderr, getenv: getenv}
	root := newRoot(a) //nolint:contextcheck // the commands have it from ExecuteContext
	if len(args) > 0 && args[0] == cobra.ShellCompRequestCmd {
		unquoteUsages(root)
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if failed := out.failed(); failed != nil && (err == nil || errors.Is(err, errFailed) || errors.Is(err, errors.Unwrap(failed))) {
		err = failed // where the command knew of it, this says it better
	}
	return a.exit(err)
}

// newRoot builds the whole tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "edgepurge",
		Short: "Purge Vercel's edge cache from a queue",
		Long: `edgepurge purges Vercel's edge cache from a queue in Redis: it drops
duplicates, packs what is left into as few API calls as the limits allow,
spreads them over time, retries what can succeed later and keeps the rest as
dead letters for people to look at.`,
		Example: `  edgepurge check                                  # is everything in place?
  edgepurge worker                                 # purge what is asked for
  edgepurge purge --project prj_abc --tag post-1   # ask for a purge
  edgepurge status                                 # see what waits`,
		Version:       readVersion().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.stdout) // before cobra's completion takes it for itself
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringVar(&a.configPath, "config", "",
		"configuration `file` (default: EDGEPURGE_CONFIG, else none: environment alone)")
	if err := root.MarkPersistentFlagFilename("config", "yaml", "yml"); err != nil {
		panic(err) // the flag stands one line above
	}
	root.AddCommand(
		newWorkerCommand(a),
		newGatewayCommand(a),
		newServeCommand(a),
		newWebhookCommand(a),
		newPurgeCommand(a),
		newPlanCommand(a),
		newStatusCommand(a),
		newHoldCommand(a),
		newAdoptCommand(a),
		newDeadCommand(a),
		newCheckCommand(a),
		newDemoCommand(a),
		newDevCommand(a),
		newEmulatorCommand(a),
		newVersionCommand(a),
	)
	completeHelp(root)
	completeShells(root)
	return root
}

// completeHelp gives cobra's own commands examples too.
func completeHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Example = "  edgepurge help purge"
			c.RunE = helpOn
		case "completion":
			c.Example = "  source <(edgepurge completion bash)"
			c.Args, c.RunE = knownCommand, needCommand
			for _, shell := range c.Commands() {
				shell.Example = "  edgepurge completion " + shell.Name()
				shell.Args = noArgs
			}
		}
	}
}

// helpOn shows the help of the command that args name; cobra's own would show
// the root's for an unknown one, and succeed.
func helpOn(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil {
		return usagef(cmd, "%w", err)
	}
	if err := knownCommand(about, rest); err != nil {
		return err
	}
	about.InitDefaultHelpFlag()
	return about.Help()
}
