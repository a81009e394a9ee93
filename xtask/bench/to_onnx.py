"""A Llama in GGUF as what ONNX Runtime runs: `to_onnx.py MODEL.gguf KIND MODEL.onnx`.

Written with the operators that ONNX Runtime's own model builder uses. Matrices must be
Q4_0. KIND is what transformers.js calls a dtype:

- q4: MatMulNBits with the very same codes and scales, its fastest accuracy_level;
- fp32: the same values as floats;
- q8: rounded again to whole numbers of 8 bits, one scale a column, multiplied by
  activations that are rounded as dynamic quantization does, one scale for all.
"""

import sys

import gguf
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BLOCK = 32
MICROSOFT = "com.microsoft"

source, kind, target = sys.argv[1:]
reader = gguf.GGUFReader(source)
tensors = {t.name: t for t in reader.tensors}


def field(name):
    return reader.fields[f"llama.{name}"].contents()


hidden = field("embedding_length")
layers = field("block_count")
heads = field("attention.head_count")
kv_heads = field("attention.head_count_kv")
epsilon = field("attention.layer_norm_rms_epsilon")
context = field("context_length")
theta = field("rope.freq_base")
dim = hidden // heads
vocab = int(tensors["token_embd.weight"].shape[1])

nodes, weights = [], []


def node(op, inputs, outputs, domain="", **attributes):
    nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], domain=domain, **attributes))
    return outputs[0]


def weight(name, values):
    weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


def blocks(name):
    """Rows of Q4_0 blocks: scales, and codes in pairs of neighbours."""
    tensor = tensors[name]
    if tensor.tensor_type != gguf.GGMLQuantizationType.Q4_0:
        sys.exit(f"error: {name} is not Q4_0; requantize the model first")
    raw = np.asarray(tensor.data).view(np.uint8).reshape(int(tensor.shape[1]), -1, 18)
    scales = raw[:, :, :2].copy().view(np.float16).reshape(raw.shape[:2]).astype(np.float32)
    # A byte of the file has codes i and i + 16, a byte of ONNX's 2i and 2i + 1.
    codes = np.concatenate([raw[:, :, 2:] & 15, raw[:, :, 2:] >> 4], axis=2)
    return scales, codes[:, :, 0::2] | codes[:, :, 1::2] << 4


def halves(rows, of):
    """GGUF has the two halves of a head that turn together as neighbours."""
    shape = rows.shape
    return rows.reshape(of, dim // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def values(scales, codes):
    pairs = np.stack([codes & 15, codes >> 4], axis=3).reshape(*scales.shape, BLOCK)
    return ((pairs.astype(np.float32) - 8) * scales[:, :, None]).reshape(len(scales), -1)


rounded = {}


def product(x, out, *parts):
    scales = np.concatenate([p[0] for p in parts])
    codes = np.concatenate([p[1] for p in parts])
    rows, groups = scales.shape
    if kind == "q4":
        inputs = [x, weight(f"{out}.codes", codes), weight(f"{out}.scales", scales.reshape(-1))]
        return node("MatMulNBits", inputs, [out], MICROSOFT, K=groups * BLOCK, N=rows, bits=4,
                    block_size=BLOCK, accuracy_level=4)
    matrix = values(scales, codes).T
    if kind == "fp32":
        return node("MatMul", [x, weight(f"{out}.matrix", matrix)], [out])
    if x not in rounded:
        rounded[x] = [f"{x}.{part}" for part in ["codes", "scale", "zero"]]
        node("DynamicQuantizeLinear", [x], rounded[x])
    whole, scale, zero = rounded[x]
    largest = np.abs(matrix).max(axis=0) / 127
    matrix = np.round(matrix / np.maximum(largest, 1e-30)).astype(np.int8)
    zeros = weight(f"{out}.zeros", np.zeros(rows, dtype=np.int8))
    inputs = [whole, weight(f"{out}.matrix", matrix), zero, zeros]
    node("MatMulInteger", inputs, [f"{out}.whole"])
    node("Cast", [f"{out}.whole"], [f"{out}.float"], to=TensorProto.FLOAT)
    node("Mul", [scale, weight(f"{out}.largest", largest)], [f"{out}.scale"])
    return node("Mul", [f"{out}.float", f"{out}.scale"], [out])


def vector(name):
    return weight(name, np.asarray(tensors[name].data, dtype=np.float32).reshape(-1))


weight("one", np.array([1], dtype=np.int64))
node("ReduceSum", ["attention_mask", "one"], ["lengths"], keepdims=0)
node("Sub", ["lengths", "one"], ["last"])
node("Cast", ["last"], ["seqlens_k"], to=TensorProto.INT32)
node("Shape", ["attention_mask"], ["shape"], start=1, end=2)
node("Squeeze", ["shape"], ["total64"])
node("Cast", ["total64"], ["total"], to=TensorProto.INT32)
angles = np.arange(context)[:, None] * theta ** (-np.arange(0, dim, 2) / dim)[None, :]
weight("cos", np.cos(angles).astype(np.float32))
weight("sin", np.sin(angles).astype(np.float32))

weight("embedding", values(*blocks("token_embd.weight")))
x = node("Gather", ["embedding", "input_ids"], ["embedded"])
h = node("SimplifiedLayerNormalization", [x, vector("blk.0.attn_norm.weight")], ["norm.0"],
         axis=-1, epsilon=epsilon, stash_type=1)


def add_and_norm(x, y, name, out):
    both = f"{out}.sum"
    node("SkipSimplifiedLayerNormalization", [x, y, vector(name)], [out, "", "", both], MICROSOFT,
         epsilon=epsilon)
    return both, out


inputs, outputs = [], []
for i in range(layers):
    q, k, v, o, gate, up, down = (
        blocks(f"blk.{i}.{part}.weight")
        for part in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    )
    q, k = ([halves(part, of) for part in w] for w, of in [(q, heads), (k, kv_heads)])
    qkv = product(h, f"qkv.{i}", q, k, v)
    shape = ["batch", kv_heads, "past", dim]
    past = [f"past_key_values.{i}.{part}" for part in ["key", "value"]]
    present = [f"present.{i}.{part}" for part in ["key", "value"]]
    inputs += [helper.make_tensor_value_info(p, TensorProto.FLOAT, shape) for p in past]
    shape = ["batch", kv_heads, "total", dim]
    outputs += [helper.make_tensor_value_info(p, TensorProto.FLOAT, shape) for p in present]
    a = f"attention.{i}"
    node("GroupQueryAttention", [qkv, "", "", *past, "seqlens_k", "total", "cos", "sin"],
         [a, *present], MICROSOFT, num_heads=heads, kv_num_heads=kv_heads, scale=dim**-0.5,
         do_rotary=1, rotary_interleaved=0)
    x, h = add_and_norm(x, product(a, f"out.{i}", o), f"blk.{i}.ffn_norm.weight", f"mid.{i}")
    g, u = product(h, f"gate.{i}", gate), product(h, f"up.{i}", up)
    node("Sigmoid", [g], [f"sigmoid.{i}"])
    node("Mul", [g, f"sigmoid.{i}"], [f"silu.{i}"])
    node("Mul", [f"silu.{i}", u], [f"gated.{i}"])
    y = product(f"gated.{i}", f"down.{i}", down)
    name = f"blk.{i + 1}.attn_norm.weight" if i + 1 < layers else "output_norm.weight"
    x, h = add_and_norm(x, y, name, f"norm.{i + 1}")
product(h, "logits", blocks("output.weight" if "output.weight" in tensors else "token_embd.weight"))

integers = [("input_ids", ["batch", "length"]), ("attention_mask", ["batch", "total"])]
inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, s) for n, s in integers] + inputs
logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", vocab])
graph = helper.make_graph(nodes, "llama", inputs, [logits, *outputs], weights)
versions = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
model = helper.make_model(graph, opset_imports=versions, ir_version=10)
onnx.save(model, target)
