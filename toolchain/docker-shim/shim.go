// Package shim reaches the upstream provider, whose own package is internal to it: a module whose path
// lies beneath the provider's may import it.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// NewProvider makes the upstream provider.
func NewProvider() *schema.Provider { return provider.New("hastack")() }
