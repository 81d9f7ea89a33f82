package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// row is a line of the table.
type row int

const (
	rowRate row = iota
	rowCalls
	rowLost
	rowLostTags
	rowChangesCalls
	rowDrain
	rowLoneMedian
	rowLonePercentile
	rowLingerMedian
	rowMemory
	rowIdleCommands
	rowIdleCore
	rowLimitPurged
	rowLimitCalls
	rowLimitRefused
	rowLimitTime
	rows
)

func (r row) String() string {
	switch r {
	case rowRate:
		return fmt.Sprintf("%s unique tags: tags/s", number(float64(uniqueTagsCount())))
	case rowCalls:
		return "the same: calls, by the fewest possible"
	case rowLost:
		return fmt.Sprintf("%s changes of %d tags: purges lost", number(float64(changesCount())), changedTags)
	case rowLostTags:
		return "the same: tags left stale"
	case rowChangesCalls:
		return "the same: calls"
	case rowDrain:
		return "the same: s from the last change to the last call"
	case rowLoneMedian:
		return "a lone tag (edgepurge: linger 0), until its call: ms"
	case rowLonePercentile:
		return "the same: 99 % within, ms"
	case rowLingerMedian:
		return "the same, edgepurge with its default linger of 1 s: ms"
	case rowMemory:
		return fmt.Sprintf("Redis memory: bytes a pending 23-byte tag of %s", number(float64(size(100_000, 1000))))
	case rowIdleCommands:
		return "an idle worker: commands/s that Redis runs"
	case rowIdleCore:
		return "the same: % of a core"
	case rowLimitPurged:
		return fmt.Sprintf("API limit of %d calls in %s, %s tags asked for 3 times: tags purged within %.3g s",
			limit().Calls, strings.TrimSuffix(limit().Per.String(), "0s"), number(float64(limitedTags())), limitedFor().Seconds())
	case rowLimitCalls:
		return "the same: calls"
	case rowLimitRefused:
		return "the same: of them answered 429"
	case rowLimitTime:
		return "the same: s until every tag is purged"
	case rows:
	}
	return fmt.Sprintf("row %d", int(r))
}

// figures are what was measured: by row and by contender's key.
type figures struct {
	mu       sync.Mutex
	values   [rows]map[string][]float64
	reckoned [rows]map[string]bool
}

func (f *figures) add(r row, c contender, values ...float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.values[r] == nil {
		f.values[r] = map[string][]float64{}
	}
	f.values[r][c.key] = append(f.values[r][c.key], values...)
}

// reckon says that a figure was not waited for.
func (f *figures) reckon(r row, c contender) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reckoned[r] == nil {
		f.reckoned[r] = map[string]bool{}
	}
	f.reckoned[r][c.key] = true
}

// table is Markdown: a line a row, a column a contender.
func (f *figures) table(all []contender) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, c := range all {
		b.WriteString(" " + c.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(all)) + "\n")
	for r := range rows {
		fmt.Fprintf(&b, "| %s |", r)
		for _, c := range all {
			b.WriteString(" " + f.cell(r, c) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// cell is the median, the least and the most where they differ from it, and the
// ratio to edgepurge's median.
func (f *figures) cell(r row, c contender) string {
	from, q := r, 0.5
	if r == rowLonePercentile {
		from, q = rowLoneMedian, 0.99
	}
	values := f.values[from][c.key]
	if len(values) == 0 {
		return ""
	}
	middle := quantile(values, q)
	text := number(middle)
	if f.reckoned[r][c.key] {
		text = "≈ " + text
	}
	if least, most := number(slices.Min(values)), number(slices.Max(values)); q == 0.5 && (least != text || most != text) && len(values) > 1 {
		text += fmt.Sprintf(" (%s to %s)", least, most)
	}
	if ours := f.values[from][edgepurge.key]; c.key != edgepurge.key && len(ours) > 0 && quantile(ours, q) > 0 {
		text += ", " + number(middle/quantile(ours, q)) + " ×"
	}
	return text
}

// number writes three digits that count, and whole numbers whole.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) && v < 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 1000:
		whole := fmt.Sprintf("%.0f", v)
		for i := len(whole) - 3; i > 0; i -= 3 {
			whole = whole[:i] + "," + whole[i:]
		}
		return whole
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2g", v)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 1: "1", 16: "16", 0.0912: "0.091", 1.0002: "1", 9.96: "10", 12.34: "12.3", 128.5: "128", 1000: "1,000", 1_234_567.8: "1,234,568",
	} {
		assert.Equal(t, want, number(v), "%g", v)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	tag := others[0]
	f := &figures{}
	f.add(rowRate, edgepurge, 400, 300, 500)
	f.add(rowRate, tag, 40)
	f.add(rowLost, edgepurge, 0)
	f.add(rowLost, tag, 3)
	f.add(rowLoneMedian, edgepurge, 1, 2, 3)
	f.add(rowLimitTime, edgepurge, 60)
	f.add(rowLimitTime, tag, 990)
	f.reckon(rowLimitTime, tag)
	table := f.table([]contender{edgepurge, tag})
	for _, want := range []string{
		"| | edgepurge | asynq, a task a tag |\n|---|---|---|\n",
		"tags/s | 400 (300 to 500) | 40, 0.1 × |\n",
		"purges lost | 0 | 3 |\n",
		"until its call: ms | 2 (1 to 3) |  |\n",
		"99 % within, ms | 3 |  |\n",
		"every tag is purged | 60 | ≈ 990, 16.5 × |\n",
	} {
		assert.Contains(t, table, want)
	}
}
