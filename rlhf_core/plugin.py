"""One file, one `kind`: typed configuration and the plug-in mechanism.

A plug-in is a frozen pydantic model that is both its hyper-parameters and its behaviour. A
family is a package whose `__init__.py` holds the abstract base; each file beside it that defines
a subclass with `kind: Literal["name"] = "name"` is found by itself, and so is each class that an
installed distribution names in the entry-point group of the same name (`rlhf_core.queries`, ...).
"""

import difflib
import importlib
import inspect
import pkgutil
import warnings
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, model_validator
from pydantic_core import PydanticCustomError, core_schema

from rlhf_core.errors import ConfigurationError, UnknownKindError, UnusedFieldWarning
from rlhf_core.texts import LONGEST, shortened


def closest(name: str, valid: list[str]) -> str | None:
    """The valid word that is most like this one, if any is alike."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.6)
    return close[0] if close else None


def nearest(name: str, valid: list[str]) -> str:
    """A hint that names the closest valid word, then all of them."""
    # Only a name as long as a name can be is like another one.
    close = closest(name, valid) if len(name) <= LONGEST else None
    hint = f"did you mean '{close}'? " if close else ""
    return f"{hint}valid: {', '.join(sorted(valid))}"


class Config(BaseModel):
    """Closed, frozen configuration: an unknown field is an error that names the nearest one."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_pydantic_lets_pass(cls, data: Any) -> Any:
        for name, value in data.items() if isinstance(data, Mapping) else ():
            if name not in cls.model_fields:
                raise PydanticCustomError(
                    "unknown_field",
                    "unknown field '{name}'; {hint}",
                    {
                        "name": shortened(str(name)),
                        "hint": nearest(str(name), list(cls.model_fields)),
                    },
                )
            # YAML reads `yes` as true, which pydantic would take for 1.
            kinds = _atoms(cls.model_fields[name].annotation)
            if isinstance(value, bool) and bool not in kinds and (int in kinds or float in kinds):
                raise ValueError(f"{name}: expected a number, actual: {value}")
        return data

    def folders(self) -> Iterator[tuple[str, str]]:
        """Yield every folder that a run reads when it begins, after the path of its field.

        The files of such a folder decide the numbers of a run as settings do. A configuration with
        one overrides this; by default there are those of its parts.
        """
        for name in type(self).model_fields:
            for place, part in _parts(name, getattr(self, name)):
                for field, folder in part.folders():
                    yield f"{place}.{field}", folder


def _parts(name: str, value: Any) -> Iterator[tuple[str, Config]]:
    """The configurations that a field's value is or has, each after its path."""
    if isinstance(value, Config):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _parts(f"{name}.{key}", part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, part in enumerate(value):
            yield from _parts(f"{name}.{place}", part)


def _atoms(annotation: Any) -> list[Any]:
    """The types that an annotation is put together of."""
    return [annotation, *(atom for part in get_args(annotation) for atom in _atoms(part))]


class Plugin(Config, ABC):
    """Base of every plug-in. A subclass sets `kind: Literal["name"] = "name"`."""

    family: ClassVar[str]
    """The package that the plug-in belongs to, set by the family's base class."""

    kind: str
    """The name by which a configuration picks this plug-in."""


def plugin_packages() -> set[str]:
    """Packages of installed plug-ins that are not this project's own."""
    groups = entry_points()
    names = {
        point.module.partition(".")[0]
        for group in groups.groups
        if group.startswith("rlhf_core.")
        for point in groups.select(group=group)
    }
    return names - {"rlhf_core", "tasks", "flows"}


def _blamed(error: BaseException, module: str) -> str:
    """An exception with the last line of a plug-in that it passed."""
    from rlhf_core.origin import described, origin

    place = origin(error, (module,))
    return f"{described(error)} ({place})" if place else described(error)


P = TypeVar("P", bound=Plugin)


class Family(Generic[P]):
    """The discovered plug-ins of one package, usable as a pydantic annotation.

    `Annotated[QuerySelector, Family(QuerySelector, "uniform")]` validates to the plug-in whose
    `kind` is given, or the family's default; a bare string is short for `{kind: string}`. A field
    that only another kind of the family knows is set aside with an `UnusedFieldWarning`, so that
    one line of YAML swaps the kind; a field that no kind knows is an error.
    """

    def __init__(self, base: type[P], default: str, without: tuple[str, ...] = ()) -> None:
        """A family.

        Args:
            base: of all its plug-ins.
            default: the kind that is meant where none is named.
            without: modules of the package that are left out, because they refer to the others.
        """
        self.base = base
        self._without = without
        self.package = base.family
        self.default = default
        self._kinds: dict[str, type[P]] | None = None

    def kinds(self) -> dict[str, type[P]]:
        """Every plug-in of the family by its `kind`, sorted by name."""
        if self._kinds is None:
            kinds: dict[str, type[P]] = {}
            for plugin in [*self._beside(), *self._installed()]:
                kind = plugin.model_fields["kind"].default
                if not isinstance(kind, str):
                    raise ConfigurationError(
                        f"{plugin.__module__}.{plugin.__name__}: expected "
                        f"`kind: Literal['name'] = 'name'`, actual: no default"
                    )
                if kinds.setdefault(kind, plugin) is not plugin:
                    raise ConfigurationError(
                        f"{self.package}: kind '{kind}' is defined twice, by "
                        f"{kinds[kind].__module__} and {plugin.__module__}; rename one of them"
                    )
            self._kinds = dict(sorted(kinds.items()))
        return self._kinds

    def _beside(self) -> list[type[P]]:
        package = importlib.import_module(self.package)
        plugins = []
        for info in pkgutil.iter_modules(package.__path__):
            if info.name.startswith("_") or info.name in self._without:
                continue
            try:
                module = importlib.import_module(f"{self.package}.{info.name}")
            except (Exception, SystemExit) as error:
                raise ConfigurationError(
                    f"plug-in file {self.package}.{info.name} cannot be loaded: "
                    f"{_blamed(error, f'{self.package}.{info.name}')}"
                ) from error
            for _, member in inspect.getmembers(module, inspect.isclass):
                own = member.__module__ == module.__name__
                if own and issubclass(member, self.base) and not inspect.isabstract(member):
                    plugins.append(member)
        return plugins

    def _installed(self) -> list[type[P]]:
        plugins = []
        for point in entry_points(group=self.package):
            try:
                member = point.load()
            except (Exception, SystemExit) as error:
                raise ConfigurationError(
                    f"entry point '{point.name}' of group {self.package} ({point.value}) "
                    f"cannot be loaded: {_blamed(error, point.module)}"
                ) from error
            if not (inspect.isclass(member) and issubclass(member, self.base)):
                raise ConfigurationError(
                    f"entry point '{point.name}' of group {self.package}: expected a subclass "
                    f"of {self.base.__name__}, actual: {member!r}"
                )
            plugins.append(member)
        return plugins

    def get(self, kind: str) -> type[P]:
        """The plug-in class of that kind, or `UnknownKindError` with the valid ones."""
        try:
            return self.kinds()[kind]
        except KeyError:
            raise UnknownKindError(
                f"unknown kind '{shortened(kind)}'; {nearest(kind, list(self.kinds()))}"
            ) from None

    def _select(self, data: Any) -> Any:
        """Expand the short form and set aside fields that only sibling kinds have."""
        if isinstance(data, str):
            data = {"kind": data}
        if not isinstance(data, Mapping):
            return data
        data = {"kind": self.default, **data}
        try:
            chosen = self.get(str(data["kind"]))
        except UnknownKindError as error:
            raise PydanticCustomError("unknown_kind", "{text}", {"text": str(error)}) from None
        siblings = {name for plugin in self.kinds().values() for name in plugin.model_fields}
        unused = [n for n in data if n not in chosen.model_fields and n in siblings]
        for name in unused:
            family = self.package.rpartition(".")[2]
            warnings.warn(UnusedFieldWarning(family, str(name), str(data["kind"])), stacklevel=2)
        return {name: value for name, value in data.items() if name not in unused}

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        choices: dict[Any, core_schema.CoreSchema] = {
            kind: handler.generate_schema(plugin) for kind, plugin in self.kinds().items()
        }
        return core_schema.no_info_before_validator_function(
            self._select, core_schema.tagged_union_schema(choices, discriminator="kind")
        )
