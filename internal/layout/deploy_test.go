package layout

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documents reads a file of YAML documents, each field at most once.
func documents[T any](t *testing.T, name string) []T {
	t.Helper()
	file, err := os.Open(filepath.Join(root, name))
	require.NoError(t, err)
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	var all []T
	for {
		var d T
		err := decoder.Decode(&d)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err, name)
		all = append(all, d)
	}
}

type service struct {
	Image       string
	Profiles    []string
	Command     []string
	Volumes     []string
	Ports       []string
	Healthcheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	StopGrace   string                                `yaml:"stop_grace_period"`
	Restart     string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
}

type compose struct {
	Services map[string]service
	Volumes  map[string]any
}

// docker-compose.yml runs the parts with healthchecks and time to stop, and opens
// nothing to other machines.
func TestCompose(t *testing.T) {
	t.Parallel()
	file := documents[compose](t, "docker-compose.yml")[0]
	var names []string
	for name, s := range file.Services {
		names = append(names, name)
		assert.Equal(t, "unless-stopped", s.Restart, name)
		assert.True(t, s.ReadOnly, name)
		assert.Equal(t, []string{"ALL"}, s.CapDrop, name)
		assert.Equal(t, []string{"no-new-privileges:true"}, s.SecurityOpt, name)
		for _, port := range s.Ports {
			assert.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s opens %s to other machines", name, port)
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			switch {
			case strings.HasPrefix(source, "./"):
				_, err := os.Stat(filepath.Join(root, source))
				assert.NoError(t, err, name)
			case !strings.HasPrefix(source, "$"):
				assert.Contains(t, file.Volumes, source, name)
			}
		}
		for other, d := range s.DependsOn {
			assert.NotEmpty(t, file.Services[other].Healthcheck.Test, "%s waits for the health of %s", name, other)
			assert.Equal(t, "service_healthy", d.Condition, name)
		}
		if name == "emulator" {
			continue
		}
		assert.NotEmpty(t, s.Healthcheck.Test, name)
		if name == "redis" { // it writes its AOF as it goes
			continue
		}
		grace, err := time.ParseDuration(s.StopGrace)
		require.NoError(t, err, name)
		assert.GreaterOrEqual(t, grace, 10*time.Second, name)
	}
	assert.ElementsMatch(t, []string{"redis", "worker", "gateway", "emulator", "prometheus", "grafana"}, names)
	assert.Equal(t, []string{"monitoring"}, file.Services["prometheus"].Profiles)
	assert.Equal(t, []string{"monitoring"}, file.Services["grafana"].Profiles)
	assert.Subset(t, file.Services["redis"].Command, []string{"--appendonly", "yes", "--maxmemory-policy", "noeviction", "--requirepass"})
	grace, err := time.ParseDuration(file.Services["worker"].StopGrace)
	require.NoError(t, err)
	assert.Greater(t, grace, 15*time.Second, "vercel.timeout and the time to write an answer down")
}

// Compose itself finds nothing wrong, where it is installed.
func TestCompose_Config(t *testing.T) {
	t.Parallel()
	command, err := exec.LookPath("docker-compose")
	if err != nil {
		t.Skip("docker-compose is not installed: apt-get install docker-compose")
	}
	config := exec.Command(command, "-f", "docker-compose.yml", "config")
	config.Dir = root
	config.Env = append(os.Environ(), "VERCEL_TOKEN=none", "REDIS_PASSWORD=none")
	out, err := config.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.NotContains(t, string(out), "WARNING")
}

type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		ScaleTargetRef struct{ Name string } `yaml:"scaleTargetRef"`
		Triggers       []struct{ Metadata struct{ Query string } }
		Template       struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Args           []string
					LivenessProbe  probe `yaml:"livenessProbe"`
					ReadinessProbe probe `yaml:"readinessProbe"`
				}
			}
		}
	}
}

type probe struct {
	HTTPGet struct{ Path string } `yaml:"httpGet"`
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	pods := map[string]string{} // app → deployment
	var kinds []string
	objects := documents[object](t, "docs/deploy/kubernetes.yaml")
	for _, o := range objects {
		kinds = append(kinds, o.Kind)
		assert.NotEmpty(t, o.APIVersion)
		assert.NotEmpty(t, o.Metadata.Name)
		if o.Kind != "Deployment" {
			continue
		}
		app := o.Spec.Template.Metadata.Labels["app"]
		assert.Equal(t, app, o.Spec.Selector.MatchLabels["app"], o.Metadata.Name)
		pods[app] = o.Metadata.Name
		c := o.Spec.Template.Spec.Containers[0]
		assert.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path)
		assert.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
		assert.GreaterOrEqual(t, o.Spec.Template.Spec.Grace, 15, o.Metadata.Name)
	}
	slices.Sort(kinds)
	assert.Equal(t, []string{
		"ConfigMap", "Deployment", "Deployment", "PodDisruptionBudget", "PodDisruptionBudget", "ScaledObject", "Service",
	}, kinds)
	for _, o := range objects {
		switch o.Kind {
		case "PodDisruptionBudget":
			assert.Contains(t, pods, o.Spec.Selector.MatchLabels["app"], "%s protects no pod", o.Metadata.Name)
		case "ScaledObject":
			assert.Contains(t, pods, o.Spec.ScaleTargetRef.Name)
			require.NotEmpty(t, o.Spec.Triggers)
			assert.Contains(t, o.Spec.Triggers[0].Metadata.Query, "edgepurge_pending_items")
		}
	}
}

// The unit is one that systemd reads, where systemd-analyze is installed, and
// gives a worker the time it needs.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	name := filepath.Join(root, "docs/deploy/edgepurge-worker.service")
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	section, settings := "", map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		require.True(t, ok, line)
		settings[section+key] = value
	}
	assert.Contains(t, settings["[Service]ExecStart"], "edgepurge worker ")
	assert.Equal(t, "SIGTERM", settings["[Service]KillSignal"])
	assert.Equal(t, "30", settings["[Service]TimeoutStopSec"])
	assert.Equal(t, "multi-user.target", settings["[Install]WantedBy"])
	if analyze, err := exec.LookPath("systemd-analyze"); err == nil {
		out, _ := exec.Command(analyze, "verify", name).CombinedOutput() // it fails for lack of the binary
		assert.NotContains(t, string(out), "Unknown", string(out))
		assert.NotContains(t, string(out), "Failed to parse", string(out))
	}
}

// used matches an action and its version.
var used = regexp.MustCompile(`uses: (\S+)@([0-9a-f]{40}) `)

// A release is made of what CI has checked, for every platform, with checksums and
// an inventory, and its actions are named by version as those of CI are.
func TestRelease(t *testing.T) {
	t.Parallel()
	type config struct {
		Version int
		Builds  []struct {
			Main         string
			Goos, Goarch []string
		}
		Checksum struct{ Algorithm string }
		SBOMs    []struct{ Artifacts string } `yaml:"sboms"`
		Archives []struct{ Files []string }
	}
	c := documents[config](t, ".goreleaser.yaml")[0]
	assert.Equal(t, 2, c.Version)
	require.Len(t, c.Builds, 1)
	assert.ElementsMatch(t, []string{"linux", "darwin", "windows"}, c.Builds[0].Goos)
	assert.ElementsMatch(t, []string{"amd64", "arm64"}, c.Builds[0].Goarch)
	assert.DirExists(t, filepath.Join(root, c.Builds[0].Main))
	assert.Equal(t, "sha256", c.Checksum.Algorithm)
	assert.NotEmpty(t, c.SBOMs)
	for _, pattern := range c.Archives[0].Files {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		assert.NotEmpty(t, found, pattern)
	}
	release := read(t, ".github/workflows/release.yml")
	_ = documents[map[string]any](t, ".github/workflows/release.yml")
	assert.Contains(t, release, "run: .ci/run\n")
	for _, m := range used.FindAllStringSubmatch(read(t, ".github/workflows/ci.yml"), -1) {
		assert.Contains(t, release, m[1]+"@"+m[2], "CI and release use the same")
	}
}
