package plan

import "math"

// Traffic is who visits the pages that are purged.
type Traffic struct {
	// Pages is how many distinct pages there are, at least 1.
	Pages float64
	// Regions is how many edge regions keep a copy of their own, at least 1.
	Regions float64
	// RPS is requests a second to all of those pages in all regions, above 0.
	RPS float64
	// Zipf is the exponent of the pages' popularity: the page of rank k gets
	// k^-Zipf of the first one's visits. 0 is uniform. At most 3.
	Zipf float64
}

// class is entries (a page in a region) that are visited equally often.
type class struct {
	entries float64 // how many
	rate    float64 // requests a second to each
}

// maxClasses bounds how many classes stand for a Zipf distribution. Ranks within
// one differ by a factor of Pages^(1/maxClasses) at most.
const maxClasses = 32

// classes sorts the entries by popularity: entries × rate adds up to RPS.
func (t Traffic) classes() []class {
	if t.Zipf == 0 {
		entries := t.Pages * t.Regions
		return []class{{entries, t.RPS / entries}}
	}
	var found []class
	total := 0.0
	for first, i := 1.0, 1; first <= t.Pages; i++ {
		end := math.Min(t.Pages+1, math.Max(first+1, math.Floor(math.Pow(t.Pages+1, float64(i)/maxClasses))))
		visits := powerSum(first, end, t.Zipf)
		found = append(found, class{(end - first) * t.Regions, visits / (end - first)})
		total += visits
		first = end
	}
	for i := range found {
		found[i].rate *= t.RPS / total / t.Regions
	}
	return found
}

// exactRanks is up to how many terms are added one by one. Past them the
// integral over the ranks, from half before to half after, is as good.
const exactRanks = 1000

// powerSum is the sum of k^-s for first ≤ k < end.
func powerSum(first, end, s float64) float64 {
	sum, k := 0.0, first
	for ; k < end && k < first+exactRanks; k++ {
		sum += math.Pow(k, -s)
	}
	low, high := k-0.5, end-0.5
	switch {
	case high <= low:
	case s == 1:
		sum += math.Log(high / low)
	default:
		sum += (math.Pow(high, 1-s) - math.Pow(low, 1-s)) / (1 - s)
	}
	return sum
}
