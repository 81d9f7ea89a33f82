package bench

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// envSize is the environment variable that, set to "full", runs the benchmarks
// at the sizes of docs/benchmarks.md. Else all of them take less than a minute.
const envSize = "EDGEPURGE_BENCH"

// size picks how large an experiment is.
func size[T any](full, quick T) T {
	if os.Getenv(envSize) == "full" {
		return full
	}
	return quick
}

func TestMain(m *testing.M) {
	if program := os.Getenv(envChild); program != "" {
		if err := child(program); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// figures collects what each iteration measured.
type figures map[string][]float64

func (f figures) add(unit string, value float64) { f[unit] = append(f[unit], value) }

// report reports the median of each figure. What one iteration takes says
// nothing, so it is left out.
func (f figures) report(b *testing.B) {
	for unit, values := range f {
		b.ReportMetric(quantile(values, 0.5), unit)
	}
	b.ReportMetric(0, "ns/op")
}

func (f figures) median(unit string) float64 { return quantile(f[unit], 0.5) }

// quantile sorts values and returns the one below which a part q of them lies.
func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	return values[min(len(values)-1, int(float64(len(values))*q))]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
