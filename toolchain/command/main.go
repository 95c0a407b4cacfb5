// The command plugin runs shell commands as Pulumi resources, on this machine and over SSH, and
// copies files to machines. It stands in for Pulumi's own plugin "command" 1.2.1 on a machine that
// reaches package registries alone; a state written by the one is unchanged under the other.
//
// Served: local.Command, remote.Command and remote.CopyToRemote.
//
// Not served, and refused by name: the resource remote.CopyFile, the function local.run, and the
// inputs assetPaths and archivePaths of local.Command. It is meant for Linux and macOS. Other than
// Pulumi's it gives up a login after two minutes, and shows at most 64 KiB of a line while a command runs.
package main

import (
	"context"
	"fmt"
	"os"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/middleware/schema"
)

// version is set when it is built; what is built here carries "+hastack".
var version = "0.0.0"

func main() {
	if err := provider().Run(context.Background(), "command", version); err != nil {
		fmt.Fprintf(os.Stderr, "command plugin %s: %v\n", version, err)
		os.Exit(1)
	}
}

func provider() p.Provider {
	return infer.Wrap(refusal(), infer.Options{
		Metadata: schema.Metadata{
			DisplayName: "Command (built by hastack)",
			Description: "Commands on this machine and over SSH, and copies of files to machines.",
			Publisher:   "hastack",
			License:     "Apache-2.0",
			LanguageMap: map[string]any{"nodejs": map[string]any{"respectSchemaVersion": true}},
		},
		Resources: []infer.InferredResource{
			infer.Resource(&LocalCommand{}),
			infer.Resource(&RemoteCommand{}),
			infer.Resource(&CopyToRemote{}),
		},
	})
}
