package main

import "github.com/spf13/cobra"

// jsonFlag gives a command --json.
func jsonFlag(cmd *cobra.Command, into *bool) {
	cmd.Flags().BoolVar(into, "json", false, "print JSON for programs")
}
