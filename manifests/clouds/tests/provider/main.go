// A provider for OpenTofu that knows the arguments of resources and makes none of them. It reads them from the file SCHEMA,
// which extract.py has written, so that `tofu validate` compares the modules with the real providers' arguments where those
// providers cannot be had.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type attribute struct {
	Type     json.RawMessage `json:"type"`
	Required bool            `json:"required"`
	Computed bool            `json:"computed"`
}

type nested struct {
	Block    block `json:"block"`
	Many     bool  `json:"many"`
	Required bool  `json:"required"`
}

type block struct {
	Attributes map[string]attribute `json:"attributes"`
	Blocks     map[string]nested    `json:"blocks"`
}

type schemas struct {
	Provider  block            `json:"provider"`
	Resources map[string]block `json:"resource"`
	Data      map[string]block `json:"data"`
}

// provider implements what validation calls. Anything else would need a cloud.
type provider struct {
	tfprotov6.ProviderServer
	known schemas
}

func (b block) schema() *tfprotov6.SchemaBlock {
	result := &tfprotov6.SchemaBlock{}
	for name, a := range b.Attributes {
		kind, err := tftypes.ParseJSONType(a.Type) //nolint:staticcheck // the only reader of this notation
		if err != nil {
			panic(fmt.Sprintf("type of %s: %v", name, err))
		}
		result.Attributes = append(result.Attributes, &tfprotov6.SchemaAttribute{
			Name: name, Type: kind, Required: a.Required, Optional: !a.Required && !a.Computed, Computed: !a.Required,
		})
	}
	for name, n := range b.Blocks {
		entry := &tfprotov6.SchemaNestedBlock{
			TypeName: name, Block: n.Block.schema(), Nesting: tfprotov6.SchemaNestedBlockNestingModeList,
		}
		if n.Required {
			entry.MinItems = 1
		}
		if !n.Many {
			entry.MaxItems = 1
		}
		result.BlockTypes = append(result.BlockTypes, entry)
	}
	return result
}

func all(blocks map[string]block) map[string]*tfprotov6.Schema {
	result := map[string]*tfprotov6.Schema{}
	for name, b := range blocks {
		result[name] = &tfprotov6.Schema{Block: b.schema()}
	}
	return result
}

func (p provider) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return &tfprotov6.GetProviderSchemaResponse{
		Provider:          &tfprotov6.Schema{Block: p.known.Provider.schema()},
		ResourceSchemas:   all(p.known.Resources),
		DataSourceSchemas: all(p.known.Data),
	}, nil
}

func (provider) ValidateProviderConfig(_ context.Context, request *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (provider) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (provider) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (provider) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func main() {
	text, err := os.ReadFile(os.Getenv("SCHEMA"))
	server := provider{}
	if err == nil {
		err = json.Unmarshal(text, &server.known)
	}
	if err == nil {
		err = tf6server.Serve("hello.internal/clouds/schema", func() tfprotov6.ProviderServer { return server })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
