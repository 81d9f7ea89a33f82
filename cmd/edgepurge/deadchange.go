package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// deadChange is what replay and delete have in common: letters are selected,
// the user is asked, and then each is changed for itself, so that nothing is
// lost wherever it ends.
type deadChange struct {
	app    *app
	verb   string // "replay"
	past   string // "replayed"
	filter deadFilter
	all    bool
	yes    bool
	json   bool
	// mustSay is set if the change cannot be undone: without a terminal it needs --yes.
	mustSay bool
	change  func(context.Context, *letterBox, deadletter.Key, *changed) error
	after   func(context.Context, *letterBox, []deadletter.Summary) error
}

// changed is what the command did, as --json prints it.
type changed struct {
	Letters int `json:"letters"`
	Items   int `json:"items"`
	// Rerun counts letters that were put back into their queue as they are.
	Rerun int `json:"rerun,omitempty"`
	// Gone counts letters that somebody else replayed or deleted meanwhile.
	Gone int `json:"gone,omitempty"`
}

func newDeadReplayCommand(a *app) *cobra.Command {
	d := &deadChange{app: a, verb: "replay", past: "replayed", change: replayLetter, after: a.tellHolds}
	cmd := &cobra.Command{
		Use:   "replay [id]...",
		Short: "Ask again for what is in dead letters",
		Long: `replay asks again for the items of the letters and deletes each letter once that is
stored. The items pass through their lanes like any others: duplicates end there
and the budget paces them, so thousands may be replayed at once. A letter that this
edgepurge cannot read is put back into its queue, for a newer worker may know it. A
webhook is mapped again, by what gateway.sources says now.`,
		Example: `  edgepurge dead replay 01JCZ8…
  edgepurge dead replay --reason forbidden --account acme
  edgepurge dead replay --all --yes`,
		Args: cobra.ArbitraryArgs, // ids
		RunE: d.run,
	}
	d.register(cmd)
	return cmd
}

func newDeadDeleteCommand(a *app) *cobra.Command {
	d := &deadChange{app: a, verb: "delete", past: "deleted", mustSay: true, change: deleteLetter}
	cmd := &cobra.Command{
		Use:   "delete [id]...",
		Short: "Delete dead letters for good",
		Long:  `delete deletes the letters for good: what they hold is not purged.`,
		Example: `  edgepurge dead delete 01JCZ8…
  edgepurge dead delete --older-than 720h
  edgepurge dead delete --reason invalid --yes`,
		Args: cobra.ArbitraryArgs, // ids
		RunE: d.run,
	}
	d.register(cmd)
	return cmd
}

func (d *deadChange) register(cmd *cobra.Command) {
	d.filter.register(cmd)
	cmd.Flags().BoolVar(&d.all, "all", false, d.verb+" every letter")
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "do not ask")
	jsonFlag(cmd, &d.json)
}

func (d *deadChange) run(cmd *cobra.Command, ids []string) error {
	d.filter.filter.IDs = append(d.filter.filter.IDs, ids...)
	filter := d.filter.at(time.Now())
	if filter.Empty() != d.all {
		if d.all {
			return usagef(cmd, "--all means every letter: leave it or the filters out")
		}
		return usagef(cmd, "say which letters: by id, --reason, --project, --account, --older-than or --newer-than, or --all for every one")
	}
	asks := isTerminal(d.app.stdin)
	if d.mustSay && !d.yes && !asks {
		return usagef(cmd, "%s cannot ask, since this is no terminal: add --yes if it is meant", cmd.CommandPath())
	}
	ctx := cmd.Context()
	box, err := d.app.openDead(ctx)
	if err != nil {
		return err
	}
	defer box.Close()
	letters, err := box.List(ctx, filter)
	if err != nil {
		return err
	}
	if missing := missingIDs(filter.IDs, letters); len(missing) > 0 {
		return noLetter(missing...)
	}
	if len(letters) == 0 && len(filter.Reasons) > 0 {
		if err := d.sayOthers(ctx, box, filter.Reasons); err != nil {
			return err
		}
	}
	if len(letters) > 0 && !d.yes && asks {
		d.app.notef("%s", summary(letters))
		if !d.app.agreed(ctx, d.verb+" them?") {
			return errors.New("nothing was done")
		}
	}
	return d.carryOut(ctx, box, letters)
}

// sayOthers says which reasons the dead letters have, when none has the one that was
// asked for.
func (d *deadChange) sayOthers(ctx context.Context, box *letterBox, reasons []string) error {
	all, err := box.List(ctx, deadletter.Filter{})
	if err != nil || len(all) == 0 {
		return err
	}
	d.app.notef("no dead letter that was asked for has reason %s; there are: %s", plain(strings.Join(reasons, " or ")), summary(all))
	return nil
}

// missingIDs lists the ids that were asked for and are not there. Another filter
// may have left a letter out: that is for the user to see too.
func missingIDs(ids []string, letters []deadletter.Summary) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return slices.ContainsFunc(letters, func(l deadletter.Summary) bool { return l.ID == id })
	})
}

// carryOut changes one letter after the other, tells how far it came and goes on
// past the letters that fail.
func (d *deadChange) carryOut(ctx context.Context, box *letterBox, letters []deadletter.Summary) error {
	var did changed
	var faults []error
	bar := d.app.progress(len(letters), d.verb)
	for i := range letters {
		err := d.change(ctx, box, letters[i].Key, &did)
		switch {
		case errors.Is(err, deadletter.ErrNotFound):
			did.Gone++
		case err != nil:
			faults = append(faults, err)
		default:
			did.Letters++
			did.Items += letters[i].Items
		}
		_ = bar.Add(1) // a bar that cannot be drawn stops nothing
		if ctx.Err() != nil || len(faults) == maxChangeFaults {
			break
		}
	}
	_ = bar.Finish()
	if err := d.tell(did); err != nil {
		return err
	}
	if d.after != nil && ctx.Err() == nil && len(faults) == 0 {
		faults = append(faults, d.after(ctx, box, letters))
	}
	if rest := len(letters) - did.Letters - did.Gone; rest > 0 {
		d.app.notef("%s not %s and still there", count(rest, "letter"), d.past)
	}
	return errors.Join(faults...)
}

// maxChangeFaults ends a command that fails with letter after letter.
const maxChangeFaults = 10

func (d *deadChange) tell(did changed) error {
	if d.json {
		return d.app.printJSON(did)
	}
	d.app.printf("%s %s with %s\n", d.past, count(did.Letters, "letter"), count(did.Items, "item"))
	if did.Rerun > 0 {
		d.app.printf("%s could not be read and went back into the queue as they are: only a newer worker can take them in\n", count(did.Rerun, "letter"))
	}
	if did.Gone > 0 {
		d.app.printf("%s had gone meanwhile\n", count(did.Gone, "letter"))
	}
	return nil
}

func replayLetter(ctx context.Context, box *letterBox, k deadletter.Key, did *changed) error {
	r, err := box.Replay(ctx, k)
	if err == nil && r.Rerun {
		did.Rerun++
	}
	if err == nil && r.Remapped {
		did.Items += r.Receipt.Items
	}
	return err
}

func deleteLetter(ctx context.Context, box *letterBox, k deadletter.Key, _ *changed) error {
	return box.Delete(ctx, k)
}

// tellHolds says which of the replayed letters' accounts are held: what was
// replayed waits for that.
func (a *app) tellHolds(ctx context.Context, box *letterBox, letters []deadletter.Summary) error {
	accounts := map[string]bool{}
	for i := range letters {
		if name := letters[i].Account; name != "" {
			accounts[name] = true
		}
	}
	holds, err := listHolds(ctx, lanes.New(box.rdb), slices.Sorted(maps.Keys(accounts)))
	if err != nil {
		return err
	}
	for _, h := range holds {
		a.notef("account %s is held (%s, %s): it waits for a probe or `edgepurge hold release %s --all`",
			h.Account, plain(h.Scope), plain(h.Reason), h.Account)
	}
	return nil
}

// summary counts letters by reason for the question.
func summary(letters []deadletter.Summary) string {
	items := 0
	reasons := map[string]int{}
	for i := range letters {
		items += letters[i].Items
		reasons[letters[i].Reason]++
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		parts = append(parts, fmt.Sprintf("%s %d", plain(reason), reasons[reason]))
	}
	return fmt.Sprintf("%s with %s: %s", count(len(letters), "dead letter"), count(items, "item"), strings.Join(parts, ", "))
}

// agreed asks on the terminal. The end of ctx, Ctrl-C, is a no.
func (a *app) agreed(ctx context.Context, question string) bool {
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // ends with the process at the latest: a read cannot be taken back
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return false
	case text := <-answer:
		return text == "y" || text == "yes"
	}
}

// progress is a bar on a terminal if there is much to do, else nothing.
func (a *app) progress(n int, verb string) *progressbar.ProgressBar {
	const much = 50
	out := io.Discard
	if n >= much && isTerminal(a.stderr) {
		out = a.stderr
	}
	return progressbar.NewOptions(n, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(verb),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
}
