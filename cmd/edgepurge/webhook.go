package main

import "github.com/spf13/cobra"

func newWebhookCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Try out webhooks of CMSs",
		Long: `webhook tries out what gateway.sources says of a webhook, before a CMS sends it or
after it did something else than expected.`,
		Example: `  edgepurge webhook test --source blog --file delivery.json`,
		Args:    knownCommand,
		RunE:    needCommand,
	}
	cmd.AddCommand(newWebhookTestCommand(a))
	return cmd
}
