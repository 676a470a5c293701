#!/usr/bin/env python3
"""Makes a folder that vLLM serves as a model, on the spot: a tokenizer of 512 tokens, and the shape of a small Llama. It has
no weights: vLLM makes them up (--load-format dummy). So the text is noise, and all else is as with any model.

    vllm_model.py FOLDER        with a Python that has transformers and tokenizers, as scripts/vllm.sh makes one
"""
import sys

VOCABULARY = 512
POSITIONS = 16384  # so that an answer may take as long as a test wants
CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
SENTENCES = [
    "The future of AI is a matter of patience.",
    "A gateway sends each request to a replica that is ready.",
    "The replica that goes finishes what it has begun.",
    "Nobody who asked sees an error, and nobody has to ask again.",
]


def make(folder: str) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>",
                            chat_template=CHAT).save_pretrained(folder)
    LlamaConfig(
        hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
        vocab_size=VOCABULARY, max_position_embeddings=POSITIONS, bos_token_id=0, eos_token_id=1,
        architectures=["LlamaForCausalLM"], dtype="float32").save_pretrained(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make(sys.argv[1])
