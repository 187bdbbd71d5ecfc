"""Friendly names for what nobody gave a name: "brisk-otter-417"."""

import secrets

_MANNERS = """
able agile amber apt bold brave breezy bright brisk calm candid cheery clever cosy crisp deft eager
early fair fine fleet fond frank free fresh gentle glad golden grand happy hardy honest jolly keen
kind light lively lucid lucky mellow merry mild neat nimble noble patient plucky polite prime proud
quick quiet ready rosy sharp silver sleek snug solid spry steady sunny tidy true vivid warm wise
witty zesty
"""
_CREATURES = """
badger bear beaver bison bittern bunting cormorant crane curlew deer dipper dolphin dormouse dove
dunlin eagle eider egret falcon ferret finch fox gannet goose grebe hare harrier hawk hedgehog heron
hobby ibex jackdaw jay kestrel kite lapwing lark linnet lynx marten martin merlin mole moose newt
nightjar nuthatch oriole osprey otter owl panda petrel pipit plover puffin quail raven redstart
robin ruff salmon seal shrike siskin skua snipe sparrow stoat stork swallow swan swift teal tern
thrush toad trout turtle vole wagtail weasel whale wolf wren
"""


def friendly_name() -> str:
    """A name a person can say on the telephone; it need not be unique."""
    return f"{secrets.choice(_MANNERS.split())}-{secrets.choice(_CREATURES.split())}-{100 + secrets.randbelow(900)}"
