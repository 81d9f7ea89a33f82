package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// BenchmarkIdleWorker: what a worker with nothing to do costs. commands/s are
// all that Redis runs, those inside scripts included; sent/s are the client's.
func BenchmarkIdleWorker(b *testing.B) {
	f := figures{}
	for b.Loop() {
		for _, program := range []string{childWorker, childObvious} {
			r := newRig(b, emulator.Config{})
			look := r.child(program, r.server.URL())
			time.Sleep(size(3*time.Second, settle))
			const field = "total_commands_processed"
			before := r.info("stats", field)
			used := watch(look, size(20*time.Second, 2*time.Second))
			// One of them was the INFO before.
			used.commands = (r.info("stats", field) - before - 1) / used.seconds
			f.add(prefix(program)+"commands/s", used.commands)
			f.add(prefix(program)+"sent/s", used.sent)
			f.add(prefix(program)+"%core", used.core)
			r.close()
		}
	}
	f.report(b)
}

// BenchmarkRefusingRedis: what a worker costs while Redis answers every command
// with an error, as to an ACL user who loses all rights at work.
func BenchmarkRefusingRedis(b *testing.B) {
	f := figures{}
	for b.Loop() {
		for _, program := range []string{childWorker, childObvious} {
			r := newRig(b, emulator.Config{})
			ctx := context.Background()
			require.NoError(b, r.rdb.Do(ctx, "ACL", "SETUSER", "poor", "on", ">secret", "~*", "&*", "+@all").Err())
			look := r.child(program, strings.Replace(r.server.URL(), "://", "://poor:secret@", 1))
			time.Sleep(settle)
			require.NoError(b, r.rdb.Do(ctx, "ACL", "SETUSER", "poor", "-@all").Err())
			time.Sleep(size(3*time.Second, 100*time.Millisecond))
			used := watch(look, size(10*time.Second, time.Second))
			f.add(prefix(program)+"sent/s", used.sent)
			f.add(prefix(program)+"%core", used.core)
			r.close()
		}
	}
	f.report(b)
}

func prefix(program string) string {
	if program == childObvious {
		return "obvious-"
	}
	return ""
}

// spent is what a process spends a second.
type spent struct {
	seconds, commands, sent, core float64
}

func watch(look func() usage, d time.Duration) spent {
	start, before := time.Now(), look()
	time.Sleep(d)
	after, seconds := look(), time.Since(start).Seconds()
	return spent{
		seconds: seconds,
		sent:    float64(after.Commands-before.Commands) / seconds,
		core:    100 * (after.CPU - before.CPU).Seconds() / seconds,
	}
}
