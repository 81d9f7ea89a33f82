package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// demoPlan is what the demo's producers will ask for. It depends on the seed
// and the number of requests alone.
type demoPlan struct {
	requests []plannedRequest // in the order of time
	over     time.Duration    // from the first to the last
	poison   string           // the tag that the API refuses
}

// plannedRequest is one request and when it is asked for, from the start.
type plannedRequest struct {
	at    time.Duration
	purge tasks.Purge
}

// limit is when producers give up asking: on a machine that is busy with other
// things the demo shows less, rather than take minutes.
func (p *demoPlan) limit() time.Duration { return max(demoPatient, p.over*3/2) }

const (
	// demoPatient is the least limit of a plan.
	demoPatient = 10 * time.Second
	// demoRate is how many requests a second an embedded Redis takes in beside
	// two workers on a small machine, with some room.
	demoRate = 600
	// Of so many products and posts the first are asked for most.
	demoProducts, demoPosts = 420, 160
	demoUrgent              = 6
	demoSeedStream          = 0x64656d6f // the second half of the generator's seed
)

// newDemoPlan plans n requests.
func newDemoPlan(seed uint64, n int) demoPlan {
	rng := rand.New(rand.NewPCG(seed, demoSeedStream)) //nolint:gosec // repeatable on purpose
	product := rand.NewZipf(rng, 1.1, 8, demoProducts-1)
	post := rand.NewZipf(rng, 1.1, 4, demoPosts-1)
	p := demoPlan{
		requests: make([]plannedRequest, n), poison: "post-unpurgeable",
		over: time.Duration(n) * time.Second / demoRate,
	}
	for i := range p.requests {
		p.requests[i] = plannedRequest{
			at:    p.over * time.Duration(i) / time.Duration(n),
			purge: editorsWork(rng, product.Uint64(), post.Uint64()),
		}
	}
	// The price on a few products is wrong, and must go before all that waits.
	for i := range min(demoUrgent, n/4) {
		at := n/4 + i*n/2/demoUrgent
		p.requests[at].purge = tasks.Purge{
			Project: "shop", Operation: tasks.Delete, Priority: tasks.Urgent,
			Tags: []string{fmt.Sprint("product-", product.Uint64())},
		}
	}
	p.requests[n/8].purge = tasks.Purge{Project: "blog", Operation: tasks.Invalidate, Tags: []string{p.poison}}
	return p
}

// editorsWork is what a CMS asks for when somebody has saved something.
func editorsWork(rng *rand.Rand, product, post uint64) tasks.Purge {
	tags := func(names ...string) []string { return names }
	productTag, postTag := fmt.Sprint("product-", product), fmt.Sprint("post-", post)
	switch dice := rng.IntN(100); {
	case dice < 40: // price or stock
		return tasks.Purge{
			Project: "shop", Operation: tasks.Delete,
			Tags: tags(productTag, fmt.Sprint("category-", product%23), "front-page"),
		}
	case dice < 50: // a product's pictures
		return tasks.Purge{
			Project: "shop", Operation: tasks.Delete,
			Tags: tags(productTag), SrcImages: []string{fmt.Sprintf("/images/product-%d.jpg", product%120)},
		}
	case dice < 65: // a description
		return tasks.Purge{Project: "shop", Operation: tasks.Invalidate, Tags: tags(productTag, "search")}
	case dice < 90: // an article
		return tasks.Purge{
			Project: "blog", Operation: tasks.Invalidate,
			Tags: tags(postTag, fmt.Sprint("author-", post%17), "post-list"),
		}
	default: // its cover
		return tasks.Purge{
			Project: "blog", Operation: tasks.Invalidate,
			Tags: tags(postTag), SrcImages: []string{fmt.Sprintf("/covers/post-%d.jpg", post)},
		}
	}
}
