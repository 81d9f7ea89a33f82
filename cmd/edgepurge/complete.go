package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/worker"
)

// completeShells makes shells complete what a command knows, and names of files
// only where a file belongs.
func completeShells(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	complete := func(f *pflag.Flag) {
		name, _ := pflag.UnquoteUsage(f)
		if name == "file" || f.NoOptDefVal != "" { // a switch takes no value
			return
		}
		if err := cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(valuesOf(f), cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag is the command's own, and this its only completion
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(complete)
	cmd.PersistentFlags().VisitAll(complete)
	for _, sub := range cmd.Commands() {
		completeShells(sub)
	}
}

// valuesOf returns the values that a flag may have; nil where they cannot be listed.
func valuesOf(f *pflag.Flag) []string {
	if c, ok := f.Value.(interface{ choices() []string }); ok {
		return c.choices()
	}
	if f.Name != "reason" {
		return nil
	}
	values := []string{deadletter.Unmappable, deadletter.ByHand, deadletter.Unknown}
	for _, reason := range worker.LetterReasons() {
		values = append(values, string(reason))
	}
	return values
}

// unquoteUsages takes the marks of a value's name off the flags' descriptions:
// the help does so, cobra's completion does not.
func unquoteUsages(cmd *cobra.Command) {
	unquote := func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "`", "") }
	cmd.Flags().VisitAll(unquote)
	cmd.PersistentFlags().VisitAll(unquote)
	for _, sub := range cmd.Commands() {
		unquoteUsages(sub)
	}
}
