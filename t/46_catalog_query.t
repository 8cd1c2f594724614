#!/usr/bin/perl

# Every filter, sort and view of the catalog against the document it was
# loaded from: a filter that lets a wrong model through or loses one, an order
# that is none, a comparison in the wrong column, a page that is kept beyond
# its catalog, a parameter that is believed though it makes no sense, or a list
# of models that a client of OpenAI or Anthropic cannot read.

use v5.28;
use warnings;

use Compress::Zlib qw(memGunzip);
use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/lib";
use List::Util qw(max min shuffle uniq);
use Test::More;

use Gateway;
use Host qw(slurp top wait_until);
use Wire;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $doc = decode_json(slurp(top() . '/conf/models.dev/api.json'));
my $gw = Gateway->new(catalog => 'bundled', http => <<'END');
    sendfile on;
    large_client_header_buffers 4 32k;
    send_timeout 10m;
END

$gw->start->wait_ready;

my %auth = (Authorization => 'Bearer ' . $gw->token('viewer'));

wait_until(sub {
    my $r = $gw->get('/api/v1/models', \%auth);
    return ($r->{json}{pagination}{total} // 0) > 5000;
}, 20) or die "the bundled catalog was not loaded\n";

my %model;

for my $provider (keys %$doc) {
    my $models = $doc->{$provider}{models};
    $model{"$provider/$_"} = $models->{$_} for keys %$models;
}


sub get { return $gw->get($_[0], { %auth, %{ $_[1] // {} } }); }

# the bytes of a large page, which nobody decodes

sub page { return Wire::fetch($gw->socket, 'GET', $_[0], \%auth)->{body}; }

# The ids of all pages of a list, in its order.  The pages are large and many:
# what each item begins with is enough.

sub ids {
    my ($uri) = @_;
    my ($page, @ids) = (0);

    while (1) {
        my $r = Wire::fetch($gw->socket, 'GET', $uri
            . ($uri =~ /\?/ ? '&' : '?') . 'limit=1000&page=' . ++$page,
            \%auth);
        die "$uri: $r->{status} $r->{body}\n" if $r->{status} != 200;

        push @ids, map { $json->decode($_) }
                   $r->{body} =~ /\{"id":("[^"]*"),"provider_id":/g;
        my ($pages) = $r->{body} =~ /"total_pages":(\d+)/;
        return @ids if $page >= $pages;
    }
}


sub same_ids {
    my ($uri, $want, $what) = @_;
    my @got = sort(ids($uri));
    my @want = sort grep { $want->($model{$_}, $_) } keys %model;
    my %got = map { $_ => 1 } @got;
    my %want = map { $_ => 1 } @want;
    my @odd = ((map { "+$_" } grep { !$want{$_} } @got),
               (map { "-$_" } grep { !$got{$_} } @want));

    is scalar @odd, 0, "$what: " . @want . ' models'
        or diag(join ' ', @odd[0 .. min(9, $#odd)]);
    fail "$what: there is nothing to find" if !@want;
    return;
}


subtest 'filters' => sub {
    my %filters = (
        'family=gpt-mini' => sub { ($_[0]{family} // '') eq 'gpt-mini' },
        'family=GPT-Mini' => sub { ($_[0]{family} // '') eq 'gpt-mini' },
        'status=beta' => sub { ($_[0]{status} // '') eq 'beta' },
        'status=deprecated' => sub { ($_[0]{status} // '') eq 'deprecated' },
        'status=stable' => sub { !defined $_[0]{status} },
        'open_weights=true' => sub { $_[0]{open_weights} },
        'open_weights=false' => sub {
            defined $_[0]{open_weights} && !$_[0]{open_weights}
        },
        'min_context=1000000' => sub {
            ($_[0]{limit}{context} // 0) >= 1_000_000
        },
        'max_input_price=0.15' => sub {
            defined $_[0]{cost}{input} && $_[0]{cost}{input} <= 0.15
        },
        'max_output_price=0' => sub {
            defined $_[0]{cost}{output} && $_[0]{cost}{output} == 0
        },
        'modality=audio' => sub {
            grep { $_ eq 'audio' } map { @{ $_[0]{modalities}{$_} // [] } }
                                   qw(input output);
        },
        'modality=image%2Btext-%3Etext' => sub {
            my %in = map { $_ => 1 } @{ $_[0]{modalities}{input} // [] };
            my %out = map { $_ => 1 } @{ $_[0]{modalities}{output} // [] };
            $in{image} && $in{text} && $out{text};
        },
        'provider=openrouter&min_context=200000&open_weights=true'
        . '&max_input_price=1&status=stable' => sub {
            $_[1] =~ m{^openrouter/} && ($_[0]{limit}{context} // 0) >= 200_000
            && $_[0]{open_weights} && !defined $_[0]{status}
            && defined $_[0]{cost}{input} && $_[0]{cost}{input} <= 1;
        },
    );

    same_ids("/api/v1/models?$_", $filters{$_}, $_) for sort keys %filters;

    is_deeply [ ids('/api/v1/models?modality=image+text-%3Etext') ],
              [ ids('/api/v1/models?modality=image%2Btext-%3Etext') ],
              'a plus as it is';
    is_deeply [ ids('/api/v1/models?family=nobody') ], [], 'no such family';
    is get('/api/v1/models?search=')->{json}{pagination}{total},
       scalar keys %model, 'an empty search is none';
    is get('/api/v1/models?search=%20%20')->{json}{pagination}{total},
       scalar keys %model, 'nor are blanks';

    same_ids('/api/v1/providers/openrouter/models?open_weights=true',
             sub { $_[1] =~ m{^openrouter/} && $_[0]{open_weights} },
             "a provider's, filtered");
};


subtest 'capabilities' => sub {
    for my $name (qw(vision function_calling streaming json_mode
                     image_generation audio code_generation reasoning))
    {
        is_deeply [ ids("/api/v1/models/capability/$name") ],
                  [ ids("/api/v1/models?capability=$name") ], $name;
    }

    same_ids('/api/v1/models/capability/reasoning?open_weights=true',
             sub { $_[0]{reasoning} && $_[0]{open_weights} },
             'filtered further');

    for my $uri ('/api/v1/models/capability/flying',
                 '/api/v1/models?capability=Vision')
    {
        my $r = get($uri);
        is $r->{status}, 400, $uri;
        is $r->{json}{error}{param}, 'capability', 'names it';
        like $r->{json}{error}{message}, qr/vision, function_calling/,
             'says what there is';
    }

    is get('/api/v1/models/capability/vision?capability=audio')->{status},
       400, 'not twice';
};


subtest 'availability' => sub {
    $gw->sql(q{update model.models_metadata set health_status = 'available'
               where id in ('openai/gpt-4o', 'openai/o3')});
    $gw->sql(q{update model.models_metadata set health_status = 'unavailable'
               where id = 'openai/gpt-4'});

    ok wait_until(sub {
        join(' ', ids('/api/v1/models?available=true'))
            eq 'openai/gpt-4o openai/o3'
        && join(' ', ids('/api/v1/models?available=false')) eq 'openai/gpt-4';
    }), 'true and false; what is not known is neither'
        or diag join ' ', ids('/api/v1/models?available=true'), '|',
                ids('/api/v1/models?available=false');

    my $p = get('/api/v1/providers/openai')->{json}{models};
    is_deeply { map { $_ => $p->{$_} } qw(available unavailable unknown) },
              { available => 2, unavailable => 1,
                unknown => keys(%{ $doc->{openai}{models} }) - 3 },
              'counted at the provider';
};


# 0.045000000000000005 is 0.045

sub price { return defined $_[0] ? sprintf('%.9f', $_[0]) + 0 : undef }

# What an order is by, from the source; undef is last both ways.

my %order = (
    name => sub { lc($_[0]{name}) =~ s/[^a-z0-9]+/ /gr =~ s/^ | $//gr },
    release_date => sub { $_[0]{release_date} },
    last_updated => sub { $_[0]{last_updated} },
    input_price => sub { price($_[0]{cost}{input}) },
    output_price => sub { price($_[0]{cost}{output}) },
    context => sub { $_[0]{limit}{context} },
);


subtest 'sort' => sub {
    for my $name (sort keys %order) {
        for my $sign ('', '-') {
            my @ids = ids("/api/v1/models?sort=$sign$name");
            my ($wrong, @odd) = (0);
            my $text = $name =~ /name|date|updated/;

            is scalar(uniq @ids), scalar keys %model, "$sign$name: all";

            for my $i (1 .. $#ids) {
                my ($x, $y) = map { $order{$name}->($model{$ids[$_]}) }
                              $i - 1, $i;
                my $c = !defined $x ? (defined $y ? 2 : 0)
                      : !defined $y ? -2
                      : $text ? lc $x cmp lc $y : $x <=> $y;
                $c = -$c if $sign && abs $c == 1;
                next if $c < 0 || $c == 0 && ($name eq 'name'
                                              || $ids[$i - 1] lt $ids[$i]);
                @odd = @ids[$i - 1, $i] if !$wrong++;
            }

            is $wrong, 0, 'in order, the unknown last, equals by id'
                or diag "$odd[0] before $odd[1]";
        }
    }

    my @pages = map {
        map { $_->{id} } @{ get("/api/v1/models?sort=-context&limit=7&page=$_")
                            ->{json}{models} }
    } 1 .. 5;
    my @all = ids('/api/v1/models?sort=-context');
    is_deeply \@pages, [ @all[0 .. 34] ], 'pages follow one another';
};


subtest 'search' => sub {
    my @ids = ids('/api/v1/models?search=OPENAI/gpt-4o');
    is $ids[0], 'openai/gpt-4o', 'the id itself comes first';
    is scalar(grep { my $m = $model{$_};
                     lc("$_ $m->{name} " . ($m->{family} // ''))
                         !~ m{openai/gpt-4o} } @ids), 0, 'all hold it';

    my $by_id = join ' ', sort(ids('/api/v1/models?search=claude&sort=id'));
    is $by_id, join(' ', sort(ids('/api/v1/models?search=claude'))),
       'an order of one\'s own changes nothing else';

    # characters that mean something elsewhere are themselves here

    for my $text ('%', '_', '.*', '\\', 'gpt.4o', '[a-z]', "'; --", '(', '^g',
                  'gpt-4_', '$')
    {
        my $escaped = $text =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
        my $r = get("/api/v1/models?search=$escaped&limit=1000");
        is $r->{status}, 200, "search $text";
        next if $r->{json}{pagination}{approximate};

        is scalar(grep {
            my $m = $model{ $_->{id} };
            my $in = lc "$_->{id} $m->{name} " . ($m->{family} // '');
            grep { index($in, $_) < 0 } split ' ', lc $text;
        } @{ $r->{json}{models} }), 0, 'is taken for itself';
    }

    my $r = get('/api/v1/models?search=claud+sonett');
    ok @{ $r->{json}{models} }, 'what nobody is called finds what is near';
    ok $r->{json}{pagination}{approximate}, 'and says so';
    ok !exists get('/api/v1/models?search=claude+sonnet')
        ->{json}{pagination}{approximate}, 'which is not said of a match';

    is get('/api/v1/models?search=' . 'x' x 256)->{status}, 200, '256 bytes';

    for my $long ('x' x 257, 'x' x 10240, '%C3%A9' x 5000) {
        $r = get("/api/v1/models?search=$long");
        is $r->{status}, 400, length($long) . ' bytes';
        is $r->{json}{error}{param}, 'search', 'named';
        cmp_ok length $r->{body}, '<', 1000, 'not sent back in full';
    }
};


subtest 'what makes no sense' => sub {
    my %wrong = (
        provider => ['', 'x' x 300], family => ['', 'x' x 300],
        modality => ['', 'x' x 300, 'smell', 'Image', 'text->smell',
                     'text++image', 'text,image'],
        status => ['', 'gamma', 'Beta'], type => ['', 'llm'],
        open_weights => ['', '1', 'yes', 'TRUE'],
        available => ['', 'maybe', '0'],
        min_context => ['', '-1', '1.5', '128k', '1e99', '0x10', ' 1',
                        '9999999999999999999999', 'NaN'],
        max_input_price => ['', '-0.1', 'free', '1e400', 'NaN', 'Infinity',
                            '1,5', '$1'],
        max_output_price => ['', '-1', '--1', '1.2.3'],
        sort => ['', '-', 'size', '--name', 'name desc', 'relevance', 'Name'],
        page => ['0', '-1', '1000001', '4294967297', '1.0', ''],
        limit => ['0', '1001', '-5', 'all', ''],
    );

    for my $param (sort keys %wrong) {
        for my $value (@{ $wrong{$param} }) {
            my $e = $value =~ s/([^A-Za-z0-9.-])/sprintf '%%%02X', ord $1/ger;
            my $shown = length $value > 30 ? length($value) . ' bytes' : $value;
            my $r = get("/api/v1/models?$param=$e");
            is $r->{status}, 400, "$param=$shown";
            is $r->{json}{error}{param}, $param, 'is named'
                or diag $r->{body};
        }
    }

    is get('/api/v1/models?min_context=1e3')->{status}, 200,
       'a whole number may be written 1e3';
    is get('/api/v1/models?page=1000000&limit=1000')->{status}, 200,
       'the last page that may be asked for';

    for my $uri ('/api/v1/models/capability/vision?x=1',
                 '/api/v1/models/compare?ids=a,b&x=1',
                 '/api/v1/providers/openai/models?x=1',
                 '/api/v1/models/openai/gpt-4o/benchmarks?x=1',
                 '/api/v1/models/openai/gpt-4o?x=1', '/api.json?x=1')
    {
        my $r = get($uri);
        is $r->{status}, 400, $uri;
        is $r->{json}{error}{param}, 'x', 'names it';
    }

    for my $query ('search=%ff', 'search=%C3%28', 'search=%ED%A0%80',
                   'family=%F5%80%80%80', 'ids=%ff')
    {
        my $path = $query =~ /^ids/ ? '/compare' : '';
        is get("/api/v1/models$path?$query")->{status}, 400, $query;
    }
};


subtest 'compare' => sub {
    my @ids = qw(openai/gpt-4o anthropic/claude-opus-4-0 google/gemini-2.5-pro);
    @ids = grep { $model{$_} } @ids, 'openai/gpt-4';
    my $r = get('/api/v1/models/compare?ids=' . join ',', @ids);
    is $r->{status}, 200, 'a table' or diag $r->{body};
    is_deeply $r->{json}{models}, \@ids, 'one column a model, as asked for';

    my %row = map { $_->{field} => $_ } @{ $r->{json}{fields} };
    is scalar keys %row, scalar @{ $r->{json}{fields} }, 'one row a field';

    for my $i (0 .. $#ids) {
        my $one = get("/api/v1/models/$ids[$i]")->{json};
        is $row{id}{values}[$i], $ids[$i], $ids[$i];
        is $row{name}{values}[$i], $one->{name}, 'name';

        for my $path ('limits.context', 'pricing.input', 'pricing.output',
                      'capabilities.reasoning', 'modalities.input')
        {
            my ($outer, $inner) = split /\./, $path;
            is $json->encode($row{$path}{values}[$i]),
               $json->encode($one->{$outer}{$inner}), $path;
        }
    }

    for my $row (@{ $r->{json}{fields} }) {
        my @values = uniq map { $json->encode($_) } @{ $row->{values} };
        is $row->{differs}, @values > 1 ? JSON::PP::true : JSON::PP::false,
           "$row->{field}: differs or not" or diag "@values";
        is scalar @{ $row->{values} }, scalar @ids, 'a value each'
            if @{ $row->{values} } != @ids;
    }

    for my $query (join('&', map { "ids=$_" } @ids),
                   "ids=$ids[0],$ids[1]" . join('', map { "&ids=$_" }
                                                    @ids[2 .. $#ids]),
                   'ids=' . join('%2C', @ids) . ',')
    {
        is get("/api/v1/models/compare?$query")->{body}, $r->{body}, $query;
    }

    my @many = (sort keys %model)[0 .. 16];
    is get('/api/v1/models/compare?ids=' . join ',', @many[0 .. 9])->{status},
       200, 'ten';

    my %wrong = (
        none => '', empty => 'ids=', commas => 'ids=,,,',
        one => "ids=$ids[0]", twice => "ids=$ids[0],$ids[0]",
        eleven => 'ids=' . join(',', @many[0 .. 10]),
        'eleven repeated' => join('&', map { "ids=$_" } @many[0 .. 10]),
        'seventeen repeated' => join('&', map { "ids=$_" } @many),
    );

    for my $what (sort keys %wrong) {
        my $w = get("/api/v1/models/compare?$wrong{$what}");
        is $w->{status}, 400, $what;
        is $w->{json}{error}{param}, 'ids', 'names it' or diag $w->{body};
    }

    my $w = get("/api/v1/models/compare?ids=$ids[0],nobody/none,$ids[1]");
    is $w->{status}, 404, 'an unknown one';
    like $w->{json}{error}{message}, qr{"nobody/none"}, 'is named';
    is $w->{json}{error}{param}, 'ids', 'with the parameter';
};


subtest 'benchmarks' => sub {
    my $r = get('/api/v1/models/openai/gpt-4o/benchmarks');
    is $r->{status}, 200, 'of a model';
    is $r->{json}{model_id}, 'openai/gpt-4o', 'which';
    is_deeply $r->{json}{benchmarks}, [], 'none yet';

    $gw->sql(q{insert into model.model_benchmarks
               (model_id, org_id, name, score, metric, source)
               select id, org_id, 'MMLU-Pro', 72.55, 'accuracy', 'models.dev'
               from model.models_metadata where id = 'openai/gpt-4o'});

    ok wait_until(sub {
        $r = get('/api/v1/models/openai/gpt-4o/benchmarks');
        @{ $r->{json}{benchmarks} // [] } == 1;
    }), 'one that psql has put there is served';

    my $b = $r->{json}{benchmarks}[0] // {};
    is $b->{name}, 'MMLU-Pro', 'name';
    is $b->{score}, 72.55, 'score';
    is_deeply get('/api/v1/models/openai/gpt-4o')->{json}{benchmarks},
              $r->{json}{benchmarks}, 'the model shows them, too';

    $r = get('/api/v1/models/nobody/none/benchmarks');
    is $r->{status}, 404, 'of nobody';
    like $r->{json}{error}{message}, qr{"nobody/none"}, 'named';
};


subtest 'api.json' => sub {
    my $plain = get('/api.json');
    is $plain->{status}, 200, 'served';
    is $plain->{headers}{'content-type'}, 'application/json', 'type';
    is scalar keys %{ $plain->{json} }, scalar keys %$doc, 'providers';
    is $plain->{headers}{'accept-ranges'}, 'bytes', 'ranges';

    my $zipped = get('/api.json', { 'Accept-Encoding' => 'gzip' });
    is $zipped->{headers}{'content-encoding'}, 'gzip', 'gzip';
    ok memGunzip(my $copy = $zipped->{body}) eq $plain->{body},
       'the same bytes';
    isnt $zipped->{headers}{etag}, $plain->{headers}{etag}, 'own validator';

    is get('/api.json', { 'If-None-Match' => $plain->{headers}{etag} })
        ->{status}, 304, 'not modified';

    my $size = length $plain->{body};
    my @ranges = ([ 'bytes=0-9', 0, 10 ], [ 'bytes=-5', $size - 5, 5 ],
                  [ 'bytes=1000000-1000999', 1_000_000, 1000 ]);

    for my $range (@ranges) {
        my ($header, $from, $n) = @$range;
        my $r = get('/api.json', { Range => $header });
        is $r->{status}, 206, $header;
        is $r->{headers}{'content-range'},
           "bytes $from-" . ($from + $n - 1) . "/$size", 'Content-Range';
        ok $r->{body} eq substr($plain->{body}, $from, $n), 'those bytes';
    }

    my $two = get('/api.json', { Range => 'bytes=0-4,10-14' });
    is $two->{status}, 206, 'two ranges';
    like $two->{headers}{'content-type'}, qr{^multipart/byteranges}, 'type';
    is get('/api.json', { Range => 'bytes=99999999-' })->{status}, 416,
       'beyond the end';
    is get('/api.json', { Range => 'bytes=0-9',
                          'If-Range' => $plain->{headers}{etag} })->{status},
       206, 'If-Range';
    is get('/api.json', { Range => 'bytes=0-9', 'If-Range' => '"x"' })
        ->{status}, 200, 'of another version: all of it';

    my $head = $gw->fetch('HEAD', '/api.json', \%auth);
    is $head->{headers}{'content-length'}, $size, 'HEAD';
    is $head->{body}, '', 'no body';
    is $gw->get('/api.json')->{status}, 401, 'for those with a token';
};


subtest 'pages that are asked for again' => sub {
    my $uri = '/api/v1/models?provider=openrouter&capability=reasoning';
    my $first = get($uri);

    for my $n (2 .. 5) {
        my $again = get($uri);
        ok $again->{body} eq $first->{body}, "time $n: the same bytes";
        is $again->{headers}{etag}, $first->{headers}{etag}, 'and validator';
    }

    is $gw->fetch('HEAD', $uri, \%auth)->{headers}{'content-length'},
       length $first->{body}, 'HEAD of a kept page';
    is get($uri, { 'If-None-Match' => $first->{headers}{etag} })->{status},
       304, '304 of a kept page';
    ok get("$uri&page=2")->{body} ne $first->{body}, 'another page is another';
    ok get('/api/v1/models?provider=openrouter&capability=vision')->{body}
       ne $first->{body}, 'another filter is another';

    my $id = $first->{json}{models}[0]{id};

    $gw->sql("update model.models_metadata set name = 'changed'
              where id = '$id'");
    ok wait_until(sub { get($uri)->{json}{models}[0]{name} eq 'changed' }),
       'a change is seen in a kept page';
    isnt get($uri)->{headers}{etag}, $first->{headers}{etag}, 'new validator';

    # many more than there is room for, asked for three times each

    my @uris = map { "/api/v1/models?limit=200&page=$_&min_context=1" } 1 .. 20;
    push @uris, map { "/api/v1/models?limit=400&page=$_&sort=name" } 1 .. 12;
    my %bodies;
    my $odd = 0;

    for my $round (1 .. 3) {
        for my $u (shuffle @uris) {
            my $body = page($u);
            $odd++ if ($bodies{$u} //= $body) ne $body;
        }
    }

    is $odd, 0, 'always the same bytes, kept or not';

    # a client that does not read while the page is given up

    my $slow = $gw->wire;
    $slow->send(Wire::format_request('GET',
        '/api/v1/models?limit=400&page=3&sort=name', \%auth));
    page($_) for (@uris) x 3;
    my $late = $slow->response;
    is length $late->{body}, length $bodies{ $uris[22] }, 'a slow reader';
    ok $late->{body} eq $bodies{ $uris[22] }, 'gets his page whole';
};


subtest 'what is served, as OpenAI has it' => sub {
    for my $n (map { sprintf 'g%02d', $_ } 1 .. 25) {
        $gw->api(POST => '/api/v1/model-groups',
                 { name => $n, status => 'active' });
    }
    $gw->api(POST => '/api/v1/model-groups', { name => 'draft', status => 'draft' });
    $gw->api(POST => '/api/v1/model-groups',
             { name => 'team/model:x@1', status => 'active' });

    my %key = (Authorization => 'Bearer ' . $gw->token('inference'));
    my $r;
    ok wait_until(sub {
        $r = $gw->get('/v1/models', \%key);
        @{ $r->{json}{data} // [] } == 26;
    }), 'all active groups';
    is $r->{json}{object}, 'list', 'list';

    my $one = $gw->get('/v1/models/g07', \%key);
    is_deeply $one->{json}, (grep { $_->{id} eq 'g07' }
                             @{ $r->{json}{data} })[0], 'one of them';
    is $gw->get('/v1/models/team/model:x@1', \%key)->{json}{id},
       'team/model:x@1', 'a name with a slash';
    is $gw->get('/v1/models/team%2Fmodel%3Ax%401', \%key)->{json}{id},
       'team/model:x@1', 'encoded';

    for my $none (qw(draft nobody)) {
        my $w = $gw->get("/v1/models/$none", \%key);
        is $w->{status}, 404, $none;
        is $w->{json}{error}{code}, 'model_not_found', 'code';
    }

    is $gw->get('/v1/models?limit=5', \%key)->{json}{error}{param}, 'limit',
       'OpenAI has no pages';
    is $gw->get('/v1/models/g07')->{status}, 401, 'needs a token';
};


subtest 'what is served, as Anthropic has it' => sub {
    my %key = ('x-api-key' => $gw->token('inference'),
               'anthropic-version' => '2023-06-01');
    my $list = sub { $gw->get('/v1/models' . ($_[0] // ''), \%key) };
    my $r = $list->();

    is $r->{status}, 200, 'served' or diag $r->{body};
    is scalar @{ $r->{json}{data} }, 20, '20 by default';
    is $r->{json}{has_more}, JSON::PP::true, 'there are more';
    is $r->{json}{first_id}, $r->{json}{data}[0]{id}, 'first_id';
    is $r->{json}{last_id}, $r->{json}{data}[-1]{id}, 'last_id';

    my $m = $r->{json}{data}[0];
    is $m->{type}, 'model', 'type';
    is $m->{display_name}, 'g01', 'display_name';
    like $m->{created_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/,
         'created_at';
    is_deeply $gw->get('/v1/models/g01', \%key)->{json}, $m, 'one';
    like $r->{headers}{vary}, qr/anthropic-version/, 'Vary';

    my $all = $list->('?limit=1000&beta=true');
    my @ids = map { $_->{id} } @{ $all->{json}{data} };
    is scalar @ids, 26, 'all on one page';
    is $all->{json}{has_more}, JSON::PP::false, 'no more';

    # walk forward and back by 10

    my (@walked, $after);
    while (1) {
        my $page = $list->('?limit=10' . ($after ? "&after_id=$after" : ''));
        push @walked, map { $_->{id} } @{ $page->{json}{data} };
        last if !$page->{json}{has_more} || @walked > 100;
        $after = $page->{json}{last_id} =~ s/([:\@])/sprintf '%%%02X', ord $1/ger;
    }
    is_deeply \@walked, \@ids, 'after_id';

    my $back = $list->("?limit=10&before_id=$ids[15]");
    is_deeply [ map { $_->{id} } @{ $back->{json}{data} } ], [ @ids[5 .. 14] ],
              'before_id: the page before it';
    is $back->{json}{has_more}, JSON::PP::true, 'there are more before';
    $back = $list->("?limit=10&before_id=$ids[3]");
    is_deeply [ map { $_->{id} } @{ $back->{json}{data} } ], [ @ids[0 .. 2] ],
              'what there is';
    is $back->{json}{has_more}, JSON::PP::false, 'none before';

    my $last = $ids[-1] =~ s/([:\@])/sprintf '%%%02X', ord $1/ger;
    my $end = $list->("?after_id=$last");
    is_deeply $end->{json}, { data => [], has_more => JSON::PP::false,
                              first_id => undef, last_id => undef },
              'behind the last';

    my %wrong = ('limit=0' => 'limit', 'limit=1001' => 'limit',
                 'limit=x' => 'limit', 'after_id=nobody' => 'after_id',
                 'before_id=nobody' => 'before_id', 'page=2' => 'page',
                 'after_id=g01&before_id=g05' => 'before_id');

    for my $query (sort keys %wrong) {
        my $w = $list->("?$query");
        is $w->{status}, 400, $query;
        is $w->{json}{error}{param}, $wrong{$query}, 'names it'
            or diag $w->{body};
    }

    my $etag = $all->{headers}{etag};
    is $gw->get('/v1/models?limit=1000&beta=true',
                { %key, 'If-None-Match' => $etag })->{status}, 304,
       'not modified';
    isnt $gw->get('/v1/models', { Authorization => "Bearer $key{'x-api-key'}" })
        ->{headers}{etag}, $r->{headers}{etag}, 'each shape its validator';
};


subtest 'HEAD and methods' => sub {
    for my $uri ('/api/v1/models/capability/vision',
                 '/api/v1/models/compare?ids=openai/gpt-4o,openai/gpt-4',
                 '/api/v1/models/openai/gpt-4o/benchmarks', '/api.json',
                 '/api/v1/models?sort=-context', '/v1/models/g01')
    {
        my $r = get($uri);
        is $r->{status}, 200, $uri or diag $r->{body};
        is $r->{headers}{'content-length'}, length $r->{body}, 'length';
        like $r->{headers}{etag}, qr/^"[0-9a-f]+-[0-9a-f]+"$/, 'ETag';
        is get($uri, { 'If-None-Match' => $r->{headers}{etag} })->{status},
           304, 'not modified';
        ok $r->{headers}{'x-request-id'}, 'X-Request-Id';

        my $head = $gw->fetch('HEAD', $uri, \%auth);
        is $head->{status}, 200, 'HEAD';
        is $head->{headers}{'content-length'}, length $r->{body}, 'its length';
        is $head->{body}, '', 'and no more';

        my $put = $gw->fetch('PUT', $uri, \%auth);
        is $put->{status}, 405, 'PUT';
        like $put->{headers}{allow}, qr/^GET, HEAD/, 'Allow';
    }
};


subtest 'a catalog that is too large for one document' => sub {
    $gw->sql("insert into model.models_metadata (id, provider_id,
        provider_model_id, name, model_type, details, source)
        select 'openai/large-' || n, 'openai', 'large-' || n, 'Large', 'chat',
            d, 'manual'
        from (select jsonb_object_agg('k' || k, repeat(md5(k::text), 1000)) d
              from generate_series(1, 30) k) x, generate_series(1, 150) n");

    ok wait_until(sub {
        get('/api/v1/models/openai/large-150')->{status} == 200;
    }), 'it is served';

    my $r = get('/api.json');
    is $r->{status}, 503, 'but not as a whole';
    like $r->{json}{error}{message}, qr/too large.*\/api\/v1\/models/,
         'the error says what to do';
    is get('/api/v1/models?search=large-150')->{json}{pagination}{total}, 1,
       'pages are answered';
};


done_testing();
