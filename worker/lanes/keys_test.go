package lanes

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/tasks"
)

// The names are a contract with every worker that runs beside this one during
// an upgrade: a change here loses what is pending.
func TestKeys(t *testing.T) {
	k := keysOf("acme")
	lane := tasks.Lane{
		Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, Target: tasks.Production,
		DeadlineSeconds: 60, Priority: tasks.Normal,
	}
	for _, c := range []struct{ got, want string }{
		{KeyDue, "edgepurge:due"},
		{ChannelWake, "edgepurge:wake"},
		{KeyCalls, "edgepurge:calls"},
		{keyRates(1_800_000_059), "edgepurge:rates:30000000"},
		{keyUnknown("01JD"), "edgepurge:unknown:01JD"},
		{KeyLetters(tasks.QueueCalls), "edgepurge:{edgepurge-calls}:letters"},
		{KeyKept(tasks.QueueDeliveries), "edgepurge:{edgepurge-deliveries}:kept"},
		{k.lanes(), "edgepurge:{acme}:lanes"},
		{k.ready(tasks.Urgent), "edgepurge:{acme}:ready:urgent"},
		{k.ready(tasks.Normal), "edgepurge:{acme}:ready:normal"},
		{k.ready(tasks.Bulk), "edgepurge:{acme}:ready:bulk"},
		{k.turn(tasks.Urgent), "edgepurge:{acme}:turn:urgent"},
		{k.turn(tasks.Normal), "edgepurge:{acme}:turn:normal"},
		{k.turn(tasks.Bulk), "edgepurge:{acme}:turn:bulk"},
		{k.order(), "edgepurge:{acme}:order"},
		{k.ahead(), "edgepurge:{acme}:ahead"},
		{k.pending(lane), "edgepurge:{acme}:pending:prj_abc:tag:delete:production:60:normal"},
		{k.again(lane), "edgepurge:{acme}:again:prj_abc:tag:delete:production:60:normal"},
		{k.pending(bulk), "edgepurge:{acme}:pending:prj:tag:delete:all:none:bulk"},
		{k.inflight(), "edgepurge:{acme}:inflight"},
		{k.batches(), "edgepurge:{acme}:inflight:batch"},
		{k.budget(), "edgepurge:{acme}:budget"},
		{k.booked(), "edgepurge:{acme}:budget:booked"},
		{k.bookedUrgent(), "edgepurge:{acme}:budget:booked:urgent"},
		{k.state(), "edgepurge:{acme}:budget:state"},
		{k.spread("prj_abc"), "edgepurge:{acme}:spread:prj_abc"},
		{k.hold(), "edgepurge:{acme}:hold"},
		{k.holdsEnded(), "edgepurge:{acme}:hold:ended"},
		{k.served(), "edgepurge:{acme}:served"},
		{k.superseded(), "edgepurge:{acme}:superseded"},
		{k.verdicts(), "edgepurge:{acme}:verdicts"},
		{k.absorbed("r1/tag/0"), "edgepurge:{acme}:absorbed:r1/tag/0"},
		{k.collapsed("01JD"), "edgepurge:{acme}:collapsed:01JD"},
		{k.receipts(lane), "edgepurge:{acme}:receipts:prj_abc:tag:delete:production:60"},
		{k.receipts(lane.With(tasks.Urgent)), k.receipts(lane)},
		{k.origins(lane), "edgepurge:{acme}:origins:prj_abc:tag:delete:production:60"},
		{k.origins(lane.With(tasks.Urgent)), k.origins(lane)},
		{k.failed(lane), "edgepurge:{acme}:failed:prj_abc:tag:delete:production:60"},
		{k.failed(lane.With(tasks.Urgent)), k.failed(lane)},
		{k.carried("01JD"), "edgepurge:{acme}:carried:01JD"},
		{k.carried("01JD.0.1"), "edgepurge:{acme}:carried:01JD"},
	} {
		assert.Equal(t, c.want, c.got)
	}
}

func TestKeys_Family(t *testing.T) {
	assert.Equal(t, []string{
		"edgepurge:{acme}:ready:urgent", "edgepurge:{acme}:ready:normal", "edgepurge:{acme}:ready:bulk",
		"edgepurge:{acme}:pending:prj:tag:delete:all:none:urgent", "edgepurge:{acme}:pending:prj:tag:delete:all:none:normal",
		"edgepurge:{acme}:pending:prj:tag:delete:all:none:bulk",
		"edgepurge:{acme}:again:prj:tag:delete:all:none:urgent", "edgepurge:{acme}:again:prj:tag:delete:all:none:normal",
		"edgepurge:{acme}:again:prj:tag:delete:all:none:bulk",
	}, keysOf("acme").family(bulk))
}

// all lists every key that the account can have for a lane.
func (k keys) all(lane tasks.Lane) []string {
	return append(k.family(lane), k.lanes(), k.inflight(), k.batches(), k.budget(), k.booked(), k.bookedUrgent(), k.state(),
		k.spread(lane.Project), k.hold(), k.holdsEnded(), k.served(), k.superseded(), k.verdicts(), k.absorbed("r/tag/0"), k.collapsed("c"),
		k.receipts(lane), k.origins(lane), k.failed(lane), k.carried("b"), k.turn(tasks.Urgent), k.turn(tasks.Normal), k.turn(tasks.Bulk), k.order(), k.ahead(), receipt.CountsKey("acme", "r"))
}

func TestKeys_DifferAndShareTheSlotOfTheirAccount(t *testing.T) {
	all := keysOf("acme").all(normal)
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(all))), len(all))
	for _, key := range all {
		assert.Equal(t, slot("edgepurge:{acme}:"), slot(key), key)
	}
	assert.NotEqual(t, slot(keysOf("acme").lanes()), slot(keysOf("other").lanes()))
	// The Redis Cluster specification's own examples.
	assert.Equal(t, uint16(0x31c3), crc16("123456789"))
	assert.Equal(t, slot("{user1000}.following"), slot("{user1000}.followers"))
}

// slot is a key's Redis Cluster slot.
func slot(key string) uint16 {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	return crc16(key) % 16384
}

// crc16 is CRC16-CCITT (XMODEM).
func crc16(s string) uint16 {
	var crc uint16
	for _, b := range []byte(s) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
