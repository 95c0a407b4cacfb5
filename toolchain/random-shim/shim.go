// Package shim reaches the upstream provider, whose own package is internal to it: a module whose path
// lies beneath the provider's may import it.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"
	upstream "github.com/terraform-providers/terraform-provider-random/internal/provider"
)

// NewProvider makes the upstream provider.
func NewProvider() provider.Provider { return upstream.New() }
