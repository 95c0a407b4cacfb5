package main

import (
	"context"
	"fmt"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

const whoServesIt = "this build of the plugin does not serve it; Pulumi's own plugin does: " +
	"install command 1.2.1 from Pulumi's releases"

// refusal is asked for whatever no served resource answers to.
func refusal() p.Provider {
	refuse := func(kind string, token any) error { return fmt.Errorf("%s %v: %s", kind, token, whoServesIt) }
	return p.Provider{
		Check: func(_ context.Context, r p.CheckRequest) (p.CheckResponse, error) {
			return p.CheckResponse{}, refuse("resource", r.Urn.Type())
		},
		Diff: func(_ context.Context, r p.DiffRequest) (p.DiffResponse, error) {
			return p.DiffResponse{}, refuse("resource", r.Urn.Type())
		},
		Read: func(_ context.Context, r p.ReadRequest) (p.ReadResponse, error) {
			return p.ReadResponse{}, refuse("resource", r.Urn.Type())
		},
		Delete: func(_ context.Context, r p.DeleteRequest) error {
			return refuse("resource", r.Urn.Type())
		},
		Invoke: func(_ context.Context, r p.InvokeRequest) (p.InvokeResponse, error) {
			return p.InvokeResponse{}, refuse("function", r.Token)
		},
	}
}

// refusedInputs finds the inputs among names that are set.
func refusedInputs(inputs property.Map, names ...string) []p.CheckFailure {
	var failures []p.CheckFailure
	for _, name := range names {
		if value, set := inputs.GetOk(name); set && !value.IsNull() {
			failures = append(failures, p.CheckFailure{Property: name, Reason: whoServesIt})
		}
	}
	return failures
}
