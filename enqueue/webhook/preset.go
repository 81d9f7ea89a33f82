package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Preset is what is known of one sender. Every field may be overridden by a Source.
type Preset struct {
	// Name is the preset's key in the file.
	Name string `yaml:"-"`
	// Extends names a preset whose fields this one takes where its own are empty.
	Extends string `yaml:"extends"`
	// Verify lists ways to prove a delivery; any one may pass.
	Verify []Verifier `yaml:"verify"`
	// DeliveryID lists what names a delivery, the same on a retry: header.Name,
	// json.a.b or body.sha256. The parts are joined, and the hash of the body with
	// them in any case; if one is missing there is no id.
	DeliveryID []string `yaml:"delivery_id"`
	// SameContent says what it means when the signed text of two deliveries is
	// equal but for their ids: SameIsDuplicate (the default), or SameIsEvent for
	// senders whose events look alike.
	SameContent string `yaml:"same_content"`
	// Environment is jq for the sender's environment that a delivery is of, such as
	// "staging"; several texts if it has several names, null or nothing if none is said.
	Environment string `yaml:"environment"`
	// Environments are those whose deliveries call for a purge; those of others
	// are ignored. Empty, or AnyEnvironment among them, is all. A delivery that names no
	// environment is of the primary one, and counts.
	Environments []string `yaml:"environments"`
	// Accept is jq for a boolean: whether the event calls for a purge. Empty accepts all.
	Accept string `yaml:"accept"`
	// Operation is "delete", "invalidate" or jq for one of these. Empty is "invalidate".
	Operation string `yaml:"operation"`
	// Tags is jq for any number of strings.
	Tags string `yaml:"tags"`
	// SrcImages is jq for any number of source images.
	SrcImages string `yaml:"src_images"`
}

// AnyEnvironment stands for every environment among Preset.Environments.
const AnyEnvironment = "*"

// Values of Preset.SameContent.
const (
	SameIsDuplicate = "duplicate"
	SameIsEvent     = "event"
)

// ParsePresets reads a file of presets, its extensions resolved. The name
// stands in errors. Unknown keys are refused.
func ParsePresets(name string, data []byte) (map[string]Preset, error) {
	var file struct {
		Version int               `yaml:"version"`
		Presets map[string]Preset `yaml:"presets"`
	}
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField()).Decode(&file)
	if detail, ok := errors.AsType[yaml.Error](err); ok && detail.GetToken() != nil {
		at := detail.GetToken().Position
		return nil, fmt.Errorf("%s:%d:%d: %s", name, at.Line, at.Column, detail.GetMessage())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if file.Version != 1 {
		return nil, fmt.Errorf("%s: version is %d, this program reads 1", name, file.Version)
	}
	resolved := make(map[string]Preset, len(file.Presets))
	var errs []error
	for _, key := range sortedKeys(file.Presets) {
		p, err := extend(file.Presets, key, nil)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: presets.%s: %w", name, key, err))
		}
		p.Name, p.Extends = key, ""
		resolved[key] = p
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return resolved, nil
}

// extend returns the preset with what it takes from those it extends.
func extend(presets map[string]Preset, key string, seen []string) (Preset, error) {
	p, ok := presets[key]
	switch {
	case !ok:
		return p, fmt.Errorf("extends %q, which is not there", key)
	case slices.Contains(seen, key):
		return p, fmt.Errorf("extends itself: %s", strings.Join(append(seen, key), " → "))
	case p.Extends == "":
		return p, nil
	}
	base, err := extend(presets, p.Extends, append(seen, key))
	return p.over(base), err
}

// over returns p, its empty fields taken from base.
func (p Preset) over(base Preset) Preset {
	if p.Name == "" {
		p.Name = base.Name
	}
	if p.Verify == nil {
		p.Verify = base.Verify
	}
	if p.DeliveryID == nil {
		p.DeliveryID = base.DeliveryID
	}
	if p.Environments == nil {
		p.Environments = base.Environments
	}
	for _, field := range []struct {
		own  *string
		base string
	}{
		{&p.SameContent, base.SameContent},
		{&p.Environment, base.Environment},
		{&p.Accept, base.Accept},
		{&p.Operation, base.Operation},
		{&p.Tags, base.Tags},
		{&p.SrcImages, base.SrcImages},
	} {
		if *field.own == "" {
			*field.own = field.base
		}
	}
	return p
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
