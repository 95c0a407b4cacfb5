// Command pulumi-resource-docker serves Pulumi's package `docker`, version 5, for containers, images,
// networks and volumes: Pulumi's own bridge over the same upstream provider that Pulumi's release
// bridges. It has none of what Pulumi's release adds to it: no docker.Image; and no Swarm resources.
package main

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/terraform-providers/terraform-provider-docker/shim"
)

// version is set when it is built; what is built here carries "+hastack".
var version = "0.0.0"

const defaultHost = "unix:///var/run/docker.sock"

func main() {
	schema := fmt.Sprintf(`{"name":"docker","version":%q}`, version)
	tfbridge.Main("docker", version, provider(), []byte(schema))
}

// provider maps names as Pulumi's release does; a state keeps them.
func provider() tfbridge.ProviderInfo {
	plain := func(name string) map[string]*tfbridge.SchemaInfo {
		return map[string]*tfbridge.SchemaInfo{name: {Name: name}}
	}
	info := tfbridge.ProviderInfo{
		P:       shimv2.NewProvider(shim.NewProvider()),
		Name:    "docker",
		Version: version,
		Config: map[string]*tfbridge.SchemaInfo{
			"host": {Default: &tfbridge.DefaultInfo{
				EnvVars: []string{"DOCKER_HOST"},
				ComputeDefault: func(context.Context, tfbridge.ComputeDefaultOptions) (any, error) {
					return defaultHost, nil
				},
			}},
			"registry_auth": {Name: "registryAuth", MaxItemsOne: tfbridge.False()},
		},
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_container": {
				DeleteBeforeReplace: true,
				Fields: map[string]*tfbridge.SchemaInfo{
					"command":           {Name: "command"},
					"networks_advanced": {Name: "networksAdvanced"},
				},
			},
			"docker_image": {Tok: "docker:index/remoteImage:RemoteImage", Fields: plain("name")},
		},
		IgnoreMappings: []string{
			"docker_buildx_builder", "docker_config", "docker_plugin", "docker_registry_image",
			"docker_registry_image_manifests", "docker_secret", "docker_service", "docker_tag",
		},
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
	}
	info.MustComputeTokens(tokens.SingleModule("docker_", "index", tokens.MakeStandard("docker")))
	info.SetAutonaming(255, "-")
	return info
}
