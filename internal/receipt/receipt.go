// Package receipt knows how the receipts of tracked requests lie in Redis: two
// hashes each, since a producer does not know to which account its project
// belongs and the counts must share the account's Redis Cluster slot. Producers
// open and read them, workers count in them. It talks to no Redis itself.
package receipt

import (
	"strings"
	"time"
)

// Kept is how long a receipt is kept after it was asked for, after its request
// was due (settle, not before) and after each change.
const Kept = 24 * time.Hour

// Key is the hash that the producer opens, of no account.
func Key(id string) string { return "edgepurge:receipt:" + id }

// CountsKey is the hash in which the scripts of an account count, in its slot.
func CountsKey(account, id string) string { return "edgepurge:{" + account + "}:receipt:" + id }

// The fields of Key. Times are Unix milliseconds.
const (
	Project   = "project"
	Total     = "total"
	Requested = "requested"
	// Changed stands in both hashes: when a count in it last changed, by Redis.
	Changed = "changed"

	accountPrefix = "account:"
	deadPrefix    = "dead:"
)

// The further fields of CountsKey. Besides them it has one for each chunk of
// items that was absorbed, so that none is counted twice.
const (
	Purged = "purged"
	Dead   = "dead"
)

// AccountField notes in Key that an account has counts for the receipt.
func AccountField(account string) string { return accountPrefix + account }

// DeadField holds in Key how many items died with a task of the request that no
// account absorbed.
func DeadField(task string) string { return deadPrefix + task }

// Accounts lists the accounts that have counts, by the fields of Key.
func Accounts(fields map[string]string) []string {
	var accounts []string
	for field := range fields {
		if account, ok := strings.CutPrefix(field, accountPrefix); ok {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// IsDeadField reports whether a field of Key is a DeadField.
func IsDeadField(field string) bool { return strings.HasPrefix(field, deadPrefix) }
