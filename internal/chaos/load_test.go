package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// traffic is the i-th request of a run: several projects, both operations, all
// priorities, some with settle, target, deadline or images. It is a pure function.
func traffic(seed uint64, i int) tasks.Purge {
	dice := rand.New(rand.NewPCG(seed, uint64(i)+1))
	p := tasks.Purge{
		ID: fmt.Sprintf("r-%d", i), Project: []string{"shop", "blog", "docs"}[dice.IntN(3)],
		Operation: tasks.Delete, Priority: tasks.Normal,
	}
	for range 1 + dice.IntN(4) {
		p.Tags = append(p.Tags, tag(dice.IntN(2000)))
	}
	one := func(in int) bool { return dice.IntN(in) == 0 }
	if one(4) {
		p.Operation = tasks.Invalidate
	} else if one(10) {
		deadline := 60
		p.DeadlineSeconds = &deadline
	}
	switch {
	case one(20):
		p.Priority = tasks.Urgent
	case one(10):
		p.Priority = tasks.Bulk
	}
	switch {
	case one(20):
		p.Settle = time.Duration(200+dice.IntN(1800)) * time.Millisecond
	case one(10):
		p.Target = tasks.Production
	case one(10):
		p.SrcImages = []string{fmt.Sprintf("/img/%d.png", dice.IntN(500))}
	}
	return p
}

// tag is one of the tags of traffic; every tenth is as long as a tag may be, in
// letters of two bytes.
func tag(n int) string {
	name := fmt.Sprintf("post-%04d", n)
	if n%10 == 0 {
		name += strings.Repeat("é", (tasks.MaxTagBytes-len(name))/2)
	}
	return name
}
